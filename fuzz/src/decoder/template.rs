//! A template in the first line, and what it sees in the second: the `vars` of a test, as JSON.

use serde_json::{Map, Value, json};
use testfleet_model::configuration::TestCase;

use super::endpoint::{call, endpoint, run, secret_specs, target};
use super::input::{first_line, keeps_the_secret, said, text};

/// Renders it as a body of text, and as a leaf of a body of JSON.
pub fn check(data: &[u8]) {
    let (source, vars) = first_line(data);
    let source = text(source);
    let test = TestCase {
        id: "t".to_owned(),
        input: Some(text(vars)),
        vars: serde_json::from_slice(vars).unwrap_or_default(),
        ..TestCase::default()
    };
    let captured: Map<String, Value> = [("list".to_owned(), json!([1, "a", null]))].into_iter().collect();
    let mut as_text = endpoint();
    as_text.body_text = Some(source.clone());
    let mut as_leaf = endpoint();
    as_leaf.body = Some(json!({"a": [source, 1]}));
    for endpoint in [as_text, as_leaf] {
        let Some(target) = target(&endpoint, &secret_specs()) else {
            continue;
        };
        match target.prepare(&call(&run(), &test, &captured)) {
            Ok(record) => {
                if let Some(Value::Object(body)) = &record.body {
                    assert!(body.len() == 1 && body["a"].as_array().is_some_and(|list| (1..=2).contains(&list.len())));
                }
                keeps_the_secret(&record);
            }
            Err(error) => {
                said(&error.detail.message);
                keeps_the_secret(&error);
            }
        }
    }
}
