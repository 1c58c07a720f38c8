//! What the store answers to a claim, the entry that says who holds a test, and the hash of a run.

use testfleet_model::RunId;
use testfleet_store::{ControlJob, raw};

use super::input::{pairs, said, text};

/// Reads the input as each of them.
pub fn check(data: &[u8]) {
    if let Err(error) = raw::claim(data) {
        let message = error.to_string();
        said(&message);
        assert!(message.contains("claim"), "the call is not named: {message}");
    }
    let (worker, _) = raw::holder(data);
    assert!(worker.is_none_or(|worker| !worker.contains('|')));
    if let Some(job) = ControlJob::parse(&text(data)) {
        assert_eq!(ControlJob::parse(&job.to_string()), Some(job));
    }
    let hash = pairs(data)
        .into_iter()
        .map(|(key, value)| (key, text(&value)))
        .collect();
    let id = RunId::new(uuid::Uuid::nil());
    if let Some(view) = raw::run(id, &hash, 3, 1) {
        assert!(view.left <= view.total);
        serde_json::to_string(&view).expect("a view can be shown");
    }
}
