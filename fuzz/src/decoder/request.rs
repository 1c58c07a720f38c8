//! A request made of templates and data: URL, query, header values, credentials, body.
//!
//! The head has lines `method: …`, `url: …`, `header.NAME: …`, `query.NAME: …`, `bearer: …`, `username: …`, `password: …`,
//! `key.NAME: …` (an API key in a header), `body: …` (JSON) and `body_text: …`; the rest is the input of the test.

use serde_json::{Map, Value, json};
use testfleet_model::configuration::{ApiKeyPlace, Auth, TestCase};
use testfleet_model::result::ErrorClass;

use super::endpoint::{call, endpoint, run, secret_specs, target};
use super::input::{halves, keeps_the_secret, pairs, said, text};

/// Compiles the request and renders it.
pub fn check(data: &[u8]) {
    let (head, input) = halves(data);
    let mut endpoint = endpoint();
    let (mut username, mut password) = (None, None);
    for (key, value) in pairs(head) {
        let word = text(&value);
        match key.split_once('.').unwrap_or((&key, "")) {
            ("method", _) => endpoint.method = word,
            ("url", _) => endpoint.url = word,
            ("header", name) => drop(endpoint.headers.insert(name.to_owned(), word)),
            ("query", name) => drop(endpoint.query.insert(name.to_owned(), word)),
            ("bearer", _) => endpoint.auth = Auth::Bearer { token: word },
            ("username", _) => username = Some(word),
            ("password", _) => password = Some(word),
            ("key", name) => {
                endpoint.auth = Auth::ApiKey {
                    place: ApiKeyPlace::Header,
                    name: name.to_owned(),
                    value: word,
                };
            }
            ("body", _) => endpoint.body = serde_json::from_str(&word).ok(),
            ("body_text", _) => endpoint.body_text = Some(word),
            _ => {}
        }
    }
    if let (Some(username), Some(password)) = (username, password) {
        endpoint.auth = Auth::Basic { username, password };
    }
    let Some(target) = target(&endpoint, &secret_specs()) else {
        return;
    };
    let test = TestCase {
        id: text(input).chars().take(40).collect(),
        input: Some(text(input)),
        ..TestCase::default()
    };
    let captured: Map<String, Value> = [("last".to_owned(), json!(text(input)))].into_iter().collect();
    match target.prepare(&call(&run(), &test, &captured)) {
        Ok(record) => {
            assert!(record.url.starts_with("http://") || record.url.starts_with("https://"));
            assert!(!record.url.contains(char::is_whitespace));
            for (name, value) in &record.headers {
                assert!(
                    value.chars().all(|c| matches!(c, '\t' | ' '..='~')),
                    "{name}: {value:?}"
                );
            }
            keeps_the_secret(&record);
        }
        Err(error) => {
            let class = error.detail.class;
            assert!(matches!(class, ErrorClass::Template | ErrorClass::Egress), "{error:?}");
            said(&error.detail.message);
            keeps_the_secret(&error);
        }
    }
}
