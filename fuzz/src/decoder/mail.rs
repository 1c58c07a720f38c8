//! The outbox record in the first line, the summary in the second, results in the others: what a worker makes a mail of.

use testfleet_model::{RunId, TestResult};
use testfleet_worker::Letter;

use super::input::{first_line, said, text};

/// Headers of a mail, each once.
const HEADERS: [&str; 8] = [
    "From",
    "To",
    "Subject",
    "Message-ID",
    "Date",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
];

/// Composes the mail.
pub fn check(data: &[u8]) {
    let (record, rest) = first_line(data);
    let (summary, results) = first_line(rest);
    let letter = match Letter::read(&text(record), &text(summary)) {
        Ok(letter) => letter,
        Err(reason) => {
            assert!(reason.starts_with("the outbox record: ") || reason.starts_with("the summary: "));
            return said(&reason);
        }
    };
    let lines = results.split(|byte| *byte == b'\n');
    let worst: Vec<TestResult> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let message = letter.message(RunId::new(uuid::Uuid::nil()), &worst, Some("https://fleet.example.org"));
    match message.formatted("testfleet <testfleet@fleet.example.org>") {
        Ok(mail) => one_of_each(&text(&mail)),
        Err(error) => {
            assert!(
                error.is_permanent(),
                "what cannot be composed now cannot be composed later: {error}"
            );
            said(&error.to_string());
        }
    }
}

fn one_of_each(mail: &str) {
    let (head, _) = mail.split_once("\r\n\r\n").expect("a head and a body");
    let mut names: Vec<&str> = Vec::new();
    // Lines that begin with white space continue the one before.
    for line in head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
        assert!(HEADERS.contains(&name) && !names.contains(&name), "{line:?} in\n{head}");
        assert!(!value.contains(['\r', '\n']), "{line:?}");
        names.push(name);
    }
    assert_eq!(names.len(), HEADERS.len(), "{head}");
    // From the second epoch on its number stands between the two.
    assert!(head.contains("<00000000-0000-0000-0000-000000000000.") && head.contains("testfleet@fleet.example.org>"));
}
