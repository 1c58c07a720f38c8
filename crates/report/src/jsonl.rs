//! JSON Lines: one result a line, nothing else.

use std::io::{self, Write};

use serde::Serialize;

/// Writes one result as a line. A `TestResult` never contains a raw line break; stored JSON given as raw value
/// must be compact.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_result(out: &mut impl Write, result: &(impl Serialize + ?Sized)) -> io::Result<()> {
    serde_json::to_writer(&mut *out, result)?;
    out.write_all(b"\n")
}

/// Writes all results and flushes.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write<R: Serialize>(mut out: impl Write, results: impl IntoIterator<Item = R>) -> io::Result<()> {
    for result in results {
        write_result(&mut out, &result)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use testfleet_model::TestResult;

    use super::*;
    use crate::example;

    #[test]
    fn every_line_is_a_result() {
        let (_, results) = example::partial();
        let mut bytes = Vec::new();
        write(&mut bytes, &results).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let read: Vec<TestResult> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, results);
    }
}
