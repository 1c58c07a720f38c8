//! Inputs made of several texts.

use std::fmt::Debug;

/// Up to the first empty line, and behind it. Without an empty line there is nothing behind.
pub(super) fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.windows(2).position(|pair| pair == b"\n\n");
    at.map_or((data, &[]), |at| (&data[..at], &data[at + 2..]))
}

/// The first line, and what comes after it.
pub(super) fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n');
    at.map_or((data, &[]), |at| (&data[..at], &data[at + 1..]))
}

/// Lines `key: value`; others are left out.
pub(super) fn pairs(head: &[u8]) -> Vec<(String, Vec<u8>)> {
    head.split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let at = line.windows(2).position(|pair| pair == b": ")?;
            Some((text(&line[..at]), line[at + 2..].to_vec()))
        })
        .collect()
}

/// Bytes as a text, whatever they are.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An error says something on its own lines, and at most what fits on a few screens.
pub(super) fn said(message: &str) {
    assert!(!message.trim().is_empty(), "an error without a message");
    assert!(message.len() < 64 * 1024, "an error of {} bytes", message.len());
}

/// A value that stands for a secret, with letters that encodings change.
pub(super) const SECRET: &str = "hunter2/c@nary+1";

/// Nothing that is shown or stored repeats the secret, as it is or percent-encoded.
pub(super) fn keeps_the_secret(what: &impl Debug) {
    let shown = format!("{what:?}");
    let decoded = percent_encoding::percent_decode_str(&shown).decode_utf8_lossy();
    assert!(
        !shown.contains(SECRET) && !decoded.contains(SECRET),
        "a secret is told: {shown}"
    );
}
