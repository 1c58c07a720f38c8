//! The JSON Schema of the document people write, for editors and other programs.
//!
//! It is written by hand beside the readers and made to agree with them: while tests read documents, the readers note
//! which keys they took where and which words they knew (`reading/trace.rs`), and `tests.rs` compares that with what
//! is here, both ways. A key that is added to a reader fails those tests until it is described here, and the other way
//! round. The kinds of metrics and their options are not written twice at all: they are made of the readers' own tables.
//!
//! The schema describes the shape of a document. What only the whole of it can tell (ids used twice, a timeout longer
//! than the one around it, templates, paths, regular expressions) is left to `testfleet config check`. Whatever the
//! reader accepts, the schema accepts.

mod attribute;
mod document;
mod endpoint;
mod gate;
mod metric;
mod model_server;
mod shape;
mod test_set;
#[cfg(test)]
mod tests;
mod web_socket;

use serde_json::{Value, json};

/// The `$id` of the schema.
const ID: &str = "https://testfleet.dev/schema/testfleet-1.json";

/// The schema of a test configuration as people write it: JSON Schema, draft 2020-12. The same on every call.
#[must_use]
pub fn configuration_schema() -> Value {
    let mut schema = document::document();
    let about = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "testfleet test configuration",
    });
    if let (Some(schema), Value::Object(mut about)) = (schema.as_object_mut(), about) {
        about.append(schema);
        about.insert("$defs".to_owned(), definitions());
        return Value::Object(about);
    }
    schema
}

/// What is used in several places.
fn definitions() -> Value {
    json!({
        "duration": shape::duration(),
        "mapping": shape::mapping_text(),
        "message": test_set::message(),
        "metric": metric::metric(),
        "rate": shape::rate(),
        "response_map": endpoint::response_map(),
        "statuses": shape::statuses(),
        "test": test_set::test(),
    })
}
