//! Small texts: durations, sizes, ids, modes, gates and their filters.

use testfleet_bootstrap::settings::{Settings, Sources};
use testfleet_model::gate::{Expression, Filter};
use testfleet_model::{ExecutionMode, RunId, duration};

use super::input::{said, text};

/// Reads the text as each of them.
pub fn check(data: &[u8]) {
    let text = text(data);
    match duration::parse(&text) {
        Ok(read) => assert_eq!(duration::parse(&duration::format(read)), Ok(read)),
        Err(message) => said(&message),
    }
    match text.parse::<RunId>() {
        Ok(id) => assert_eq!(id.to_string().parse::<RunId>().ok(), Some(id)),
        Err(error) => said(&error.to_string()),
    }
    match text.parse::<ExecutionMode>() {
        Ok(mode) => assert_eq!(mode.to_string().parse::<ExecutionMode>().ok(), Some(mode)),
        Err(error) => said(&error.to_string()),
    }
    match Expression::parse(&text) {
        Ok(read) => assert_eq!(Expression::parse(&read.to_string()), Ok(read)),
        Err(messages) => {
            assert!(!messages.is_empty(), "an error without a message");
            messages.iter().for_each(|message| said(message));
        }
    }
    match Filter::parse(&text) {
        Ok(read) => assert_eq!(Filter::parse(&read.to_string()).ok(), Some(read)),
        Err(error) => said(&error.to_string()),
    }
    sizes(&text);
}

/// A size of bytes, as the settings read it.
fn sizes(text: &str) {
    const KEY: &str = "limits.max_test_bytes";
    let load = |value: &str| Settings::load(Sources::default().flag("--size", KEY, value));
    match load(text) {
        Ok(settings) => {
            let shown = settings.describe().iter().find(|shown| shown.key == KEY);
            let shown = shown.expect("the key is there").literal.trim_matches('"').to_owned();
            let again = load(&shown).unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert_eq!(again.limits.max_test_bytes, settings.limits.max_test_bytes);
        }
        Err(error) => assert!(error.to_string().contains(KEY), "{error}"),
    }
}
