//! Reading never panics, whatever it is given.

use proptest::prelude::*;

use super::*;
use crate::configuration::reading::read_source;
use crate::configuration::{Source, TestDefaults};

const SEED: &str = "version: 1\nname: n\nendpoint:\n  url: https://x.test/\n  body: {a: &a [1, 'b'], c: *a}\n  auth: {type: none}\n\
                    test_set:\n  tests:\n    - {id: a, input: |-\n        x\n      , metrics: [{type: equals, value: 1}]}\n";
const FORMATS: [DocumentFormat; 3] = [DocumentFormat::Yaml, DocumentFormat::Json, DocumentFormat::Toml];
const FILES: [&str; 4] = ["a.jsonl", "a.json", "a.csv", "a.yaml"];

fn read_all(text: &str) {
    for format in FORMATS {
        let read = read_configuration(text, "a", format, &Defaults::default());
        assert!(read.is_ok() || read.is_err_and(|problems| !problems.0.is_empty()));
    }
}

fn read_tests(bytes: &[u8]) {
    for file in FILES {
        let source = Source {
            file: file.to_owned(),
            format: None,
            delimiter: None,
            columns: Default::default(),
            render: false,
        };
        let defaults = TestDefaults::default();
        if let Ok(tests) = read_source(bytes, file, &source, &defaults) {
            // An endless reader would be as bad as a panic.
            assert!(tests.count() <= bytes.len() + 2);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        read_all(&text);
    }

    #[test]
    fn text_made_of_punctuation_never_panics(text in "[-{}\\[\\],:'\"|>&*!?%@#<=. \n\ta1~\\\\]{0,60}") {
        read_all(&text);
        read_tests(text.as_bytes());
    }

    #[test]
    fn a_mutated_document_never_panics(cut in 0..SEED.len(), length in 0usize..20, insert in "[-{}\\[\\],:'\"|>&*!? \n\ta1~é]{0,4}") {
        let end = (cut + length).min(SEED.len());
        let text = format!("{}{insert}{}", &SEED[..cut], &SEED[end..]);
        read_all(&text);
    }

    #[test]
    fn arbitrary_sources_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_tests(&bytes);
    }

    #[test]
    fn a_configuration_round_trips_through_its_canonical_json(input in any::<String>(), id in "[a-z]{1,8}", weight in 0.001f64..1e6, attempts in 1u32..9) {
        let document = serde_json::json!({
            "version": 1, "name": "n",
            "endpoint": {"url": "https://x.test/", "body": {"q": input}, "retry": {"max_attempts": attempts}},
            "test_set": {"tests": [{"id": id, "input": input}, {"vars": {"x": input}}]},
            "metrics": [{"type": "contains", "value": input, "weight": weight}],
        });
        let read = read_configuration(&document.to_string(), "a.json", DocumentFormat::Json, &Defaults::default()).unwrap();
        let stored = serde_json::to_string(&read.configuration).unwrap();
        prop_assert_eq!(crate::configuration::reading::from_canonical_json(&stored).unwrap(), read.configuration);
    }
}
