//! The JSON document of a run, `{"summary": {…}, "results": […]}`, written one result at a time.

use std::io::{self, Write};

use serde::Serialize;
use testfleet_model::Summary;

/// Writes exactly one JSON document, one result a line. Results are `TestResult`s, or their stored JSON as
/// `serde_json::value::RawValue`, which is then copied as it is. Without [`Self::finish`] the document is not
/// complete, so that nobody takes half of it for the whole.
pub struct JsonWriter<W> {
    out: W,
    any: bool,
}

impl<W: Write> JsonWriter<W> {
    /// Writes the summary and opens the list.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn begin(mut out: W, summary: &Summary) -> io::Result<Self> {
        out.write_all(b"{\"summary\":")?;
        serde_json::to_writer(&mut out, summary)?;
        out.write_all(b",\n\"results\":[")?;
        Ok(Self { out, any: false })
    }

    /// Writes one result.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn result(&mut self, result: &(impl Serialize + ?Sized)) -> io::Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"\n" })?;
        self.any = true;
        serde_json::to_writer(&mut self.out, result)?;
        Ok(())
    }

    /// Closes the document and flushes.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(if self.any { b"\n]}\n" } else { b"]}\n" })?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes the whole document.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write<R: Serialize>(out: impl Write, summary: &Summary, results: impl IntoIterator<Item = R>) -> io::Result<()> {
    let mut writer = JsonWriter::begin(out, summary)?;
    for result in results {
        writer.result(&result)?;
    }
    writer.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use testfleet_model::TestResult;

    use super::*;
    use crate::example;

    #[derive(serde::Deserialize)]
    struct Document {
        summary: Summary,
        results: Vec<TestResult>,
    }

    #[test]
    fn the_document_reads_back_as_it_was() {
        let (summary, results) = example::partial();
        let mut bytes = Vec::new();
        write(&mut bytes, &summary, &results).unwrap();
        let document: Document = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((document.summary, document.results), (summary, results));
    }

    #[test]
    fn a_run_without_results_is_a_document_too() {
        let (summary, _) = example::partial();
        let mut bytes = Vec::new();
        write(&mut bytes, &summary, Vec::<TestResult>::new()).unwrap();
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(document["results"], serde_json::json!([]));
    }

    #[test]
    fn stored_json_is_copied_as_it_is() {
        let (summary, _) = example::partial();
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str("{\"x\": 1.50}").unwrap();
        let mut bytes = Vec::new();
        write(&mut bytes, &summary, [raw]).unwrap();
        assert!(String::from_utf8(bytes).unwrap().contains("{\"x\": 1.50}"));
    }

    #[test]
    fn an_unfinished_document_is_not_json() {
        let (summary, results) = example::partial();
        let mut bytes = Vec::new();
        JsonWriter::begin(&mut bytes, &summary)
            .unwrap()
            .result(&results[0])
            .unwrap();
        assert!(serde_json::from_slice::<Value>(&bytes).is_err());
    }
}
