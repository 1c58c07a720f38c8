//! From what is stored about an ended run to the mail about it. Reads two documents that others could have written, and
//! makes no call.

use testfleet_model::{RunId, Summary, TestResult};
use testfleet_notify::Message;
use testfleet_report::mail::mail;

use crate::collection::OutboxRecord;

/// The outbox record and the summary of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    record: OutboxRecord,
    summary: Summary,
}

impl Letter {
    /// Reads both as they are stored.
    ///
    /// # Errors
    /// A sentence that says which of the two cannot be read, and where.
    pub fn read(record: &str, summary: &str) -> Result<Self, String> {
        let record = serde_json::from_str(record).map_err(|error| format!("the outbox record: {error}"))?;
        let summary = serde_json::from_str(summary).map_err(|error| format!("the summary: {error}"))?;
        Ok(Self { record, summary })
    }

    /// The summary.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The mail. Of `worst` the first ten are told; `base_url` is where results can be looked at.
    #[must_use]
    pub fn message(self, run: RunId, worst: &[TestResult], base_url: Option<&str>) -> Message {
        let mail = mail(&self.summary, worst, base_url);
        Message {
            run_id: run,
            epoch: self.record.epoch,
            date: self.record.date,
            to: self.record.to,
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named() {
        for (record, summary, named) in [
            ("", "{}", "the outbox record: EOF"),
            ("{\"to\": [\"a@b\"]", "{}", "the outbox record: EOF"),
            (r#"{"to": [], "date": "soon"}"#, "{}", "the outbox record: "),
            (
                r#"{"to": [], "date": "2026-01-01T00:00:00Z"}"#,
                "{}",
                "the summary: missing field",
            ),
            (r#"{"to": [], "date": "2026-01-01T00:00:00Z"}"#, "", "the summary: EOF"),
        ] {
            let error = Letter::read(record, summary).unwrap_err();
            assert!(error.starts_with(named), "{record}: {error}");
        }
    }
}
