//! The log: on standard error, since standard output belongs to results.
//!
//! Libraries that log what they send and receive stay out of it at every level, since that has credentials in it and passes
//! no redaction.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::{LogFormat, LogSettings};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is no filter. Loaded settings never have that.
    #[error("log.level {level:?} is no filter: {source}")]
    Level {
        /// The text.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process has one already.
    #[error("the log was set up before: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up the log of this process, once.
///
/// # Errors
/// See [`LoggingError`].
pub fn init(settings: &LogSettings) -> Result<(), LoggingError> {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    subscriber(settings, std::io::stderr, colour)?.try_init()?;
    Ok(())
}

type Subscriber = Box<dyn tracing::Subscriber + Send + Sync>;

fn subscriber<W>(settings: &LogSettings, writer: W, colour: bool) -> Result<Subscriber, LoggingError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.level).map_err(|source| LoggingError::Level {
        level: settings.level.clone(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colour);
    let tellable = filter_fn(|metadata| !tells_content(metadata));
    Ok(match settings.format {
        LogFormat::Text => Box::new(builder.finish().with(tellable)),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish().with(tellable)),
    })
}

/// Whether an event is of a library that would tell headers, messages or frames: tungstenite below a warning, and h2 in detail,
/// which is a line for each frame that the other side likes to send.
fn tells_content(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    match library {
        "tungstenite" | "tokio_tungstenite" => *metadata.level() > Level::WARN,
        "h2" => *metadata.level() > Level::INFO,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn logged(format: LogFormat, level: &str) -> String {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let settings = LogSettings {
            format,
            level: level.to_owned(),
        };
        let subscriber = subscriber(&settings, move || Sink(Arc::clone(&sink)), false).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(run.id = "r-1", "a run has ended");
            tracing::debug!("a detail");
        });
        String::from_utf8(lines.lock().unwrap().clone()).unwrap()
    }

    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_is_a_sentence_with_fields() {
        let text = logged(LogFormat::Text, "info");
        assert!(text.contains("a run has ended run.id=\"r-1\""), "{text}");
        assert!(!text.contains("a detail"));
    }

    #[test]
    fn json_is_one_flat_object_per_line() {
        let text = logged(LogFormat::Json, "info");
        assert_eq!(text.lines().count(), 1);
        for part in [
            r#""message":"a run has ended""#,
            r#""run.id":"r-1""#,
            r#""level":"INFO""#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn what_libraries_send_is_told_at_no_level() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let settings = LogSettings {
            format: LogFormat::Text,
            level: "trace,tungstenite::protocol=trace".to_owned(),
        };
        let subscriber = subscriber(&settings, move || Sink(Arc::clone(&sink)), false).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "tungstenite::protocol", "Sending frame: secret");
            tracing::trace!(target: "h2::codec", "secret");
            tracing::warn!(target: "tungstenite", "a warning");
        });
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert!(text.contains("a warning") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn exceptions_raise_the_level_of_one_part() {
        assert!(logged(LogFormat::Text, "warn,testfleet_bootstrap=debug").contains("a detail"));
        assert_eq!(logged(LogFormat::Text, "off"), "");
    }
}
