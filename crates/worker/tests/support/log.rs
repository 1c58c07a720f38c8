//! What is logged while a test runs, line by line.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Everything logged on this thread, and on threads that were given its log: for tests on one thread.
#[derive(Clone, Default)]
pub struct Log {
    lines: Arc<Mutex<Vec<(Level, String)>>>,
}

impl Log {
    /// Keeps what is logged for as long as the guard is held.
    pub fn keep() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.clone()));
        (log, guard)
    }

    /// The lines of a level that contain all these words.
    pub fn lines(&self, level: Level, words: &[&str]) -> Vec<String> {
        self.lines
            .lock()
            .unwrap()
            .iter()
            .filter(|(of, line)| *of == level && words.iter().all(|word| line.contains(word)))
            .map(|(_, line)| line.clone())
            .collect()
    }

    /// What people see by default: everything from `info` on, of the worker.
    pub fn seen(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap()
            .iter()
            .filter(|(level, _)| *level <= Level::INFO)
            .map(|(level, line)| format!("{level} {line}"))
            .collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!("{value:?}"));
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !event.metadata().target().starts_with("testfleet_worker") {
            return;
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        self.lines.lock().unwrap().push((*event.metadata().level(), line.0));
    }
}
