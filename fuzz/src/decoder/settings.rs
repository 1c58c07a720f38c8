//! A settings file, and behind an empty line variables (`TESTFLEET_…=…`) and flags (`--redis redis.url=…`).

use testfleet_bootstrap::settings::{Settings, Sources};

use super::input::{halves, said, text};

/// The secret in an input: the password of a URL.
const PASSWORD: &str = "hunter2canary";

/// Loads the settings.
pub fn check(data: &[u8]) {
    let all = text(data);
    let (file, others) = halves(data);
    let mut sources = Sources::default().file_text("settings.toml", text(file));
    for line in text(others).lines() {
        // Variables may name files, and these are not to be read.
        if line.contains("_FILE") || line.contains("TESTFLEET_CONFIG") {
            continue;
        }
        match (line.split_once(' '), line.split_once('=')) {
            (Some((flag, rest)), _) if flag.starts_with("--") => {
                let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
                // Keys of flags are spelled by programs.
                if key.is_empty() {
                    continue;
                }
                sources = sources.flag(flag, key, value);
            }
            (_, Some((name, value))) => sources = sources.environment([(name.to_owned(), value.to_owned())]),
            _ => {}
        }
    }
    match Settings::load(sources) {
        Ok(settings) => {
            let masked = settings.render_toml_masked();
            assert!(!is_secret(&all) || !masked.contains(PASSWORD), "{masked}");
            if !masked.contains("***") {
                let again = Settings::load(Sources::default().file_text("again.toml", masked.clone()));
                let again = again.unwrap_or_else(|error| panic!("what was shown does not load: {error}\n{masked}"));
                let values = |settings: &Settings| -> Vec<String> {
                    settings.describe().iter().map(|shown| shown.literal.clone()).collect()
                };
                assert_eq!(values(&again), values(&settings));
            }
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                assert!(!problem.key.is_empty(), "{problem:?}");
                said(&problem.expectation);
            }
            assert!(!is_secret(&all) || !error.to_string().contains(PASSWORD), "{error}");
        }
    }
}

/// Whether the password stands once, as the value of a key that is secret.
fn is_secret(all: &str) -> bool {
    let secret_keys = [
        "url = ",
        "smtp_url = ",
        "TESTFLEET_REDIS_URL=",
        "TESTFLEET_NOTIFY_SMTP_URL=",
        "--redis redis.url=",
    ];
    let mut lines = all.lines().filter(|line| line.contains(PASSWORD));
    let line = lines.next().unwrap_or_default();
    secret_keys.iter().any(|key| line.starts_with(key)) && lines.next().is_none() && all.matches(PASSWORD).count() == 1
}
