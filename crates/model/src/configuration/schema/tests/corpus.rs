//! Documents that together have every mapping of the format: the examples of the pages and of `config/`, and some of
//! what no example needs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::configuration::reading::{DocumentFormat, plain_value};

pub(super) struct Document {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) format: DocumentFormat,
}

/// Sections that an excerpt leaves out.
const BASE: [(&str, &str); 4] = [
    ("version:", "version: 1\n"),
    ("name:", "name: n\n"),
    ("endpoint:", "endpoint: {url: 'https://x.test/'}\n"),
    (
        "test_set:",
        "test_set: {tests: [{input: a, expected_output: b, context: [c]}]}\n",
    ),
];

/// For metrics that ask one.
const MODELS: &str = "models: {judge: {base_url: 'https://llm.test/v1', model: m}}\n";

/// What no example needs.
const MORE: &[&str] = &[
    "endpoint: {type: websocket, method: GET, url: 'wss://x.test/', websocket: {send: [a]}, \
     response: {format: messages, success: {status: 101}}}
",
    "$schema: testfleet.schema.json
endpoint:
  url: https://x.test/
  auth: {type: basic, username: a, password: b}
  response:
    map: {fields: {cost: $.cost}, output: $.a}
    success: {status: {first: 200, last: 299}}
  limits: {tokens: {count: 5, per: 1s}}
  pricing: {input_per_million: 1, output_per_million: 2}
secrets: {A: {required: true, from: 'env:B'}, C: }
",
    "models:
  judge: {id: a, base_url: 'https://x.test/v1', model: m, api_key: k, headers: {A: b}, params: {temperature: 0}, timeouts: {connect: 1s},
    retry: {backoff: {max: 1m}, retry_after: {cap: 1s}}, limits: {max_concurrency: 1, rate: {count: 5, per: 1s}},
    pricing: {input_per_million: 1, output_per_million: 0}}
metrics:
  - {type: webhook, url: 'https://x.test', retry: {backoff: {max: 1m}, retry_after: {cap: 1s}}}
",
    "endpoint: {url: 'https://x.test/', auth: {type: api_key, in: query, name: k, value: v}, response: {success: {status: [200, '300-302']}}}
attributes: {fail_fast: true, repeat_policy: {min_pass_rate: 0.5}, groups: {g: {max_concurrency: 2}}, budget: {tokens: 5}}
baseline: {run: 0197c5a2-7b7e-7000-8000-000000000001, fail_on: regressed, alpha: 0.01, latency_tolerance: 0.5}
test_set: {defaults: {tags: {a: b}, timeout: 5s}, tests: [{input: a, group: g, metrics: [{type: assert-set, metrics: [{type: is-json}]}]}]}
",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An excerpt, completed by the sections it leaves out.
fn completed(excerpt: &str) -> String {
    let mut text = excerpt.to_owned() + "\n";
    for (key, rest) in BASE {
        if !text.lines().any(|line| line.starts_with(key)) {
            text += rest;
        }
    }
    text
}

fn blocks(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs").join(page)).unwrap();
    text.split("\n```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .map(str::to_owned)
        .collect()
}

pub(super) fn corpus() -> Vec<Document> {
    let mut documents: Vec<(String, String)> = Vec::new();
    for (index, block) in blocks("configuration.md").into_iter().enumerate() {
        documents.push((format!("configuration.md {index}"), completed(&block)));
    }
    for (index, block) in blocks("metrics.md").into_iter().enumerate() {
        documents.push((
            format!("metrics.md {index}"),
            completed(&format!("{MODELS}metrics:\n{block}")),
        ));
    }
    for (index, block) in blocks("verdicts.md").into_iter().enumerate() {
        documents.push((format!("verdicts.md {index}"), completed(&block)));
    }
    for (index, block) in blocks("importing.md").into_iter().enumerate() {
        documents.push((format!("importing.md {index}"), completed(&block)));
    }
    let directories = ["config/examples", "config/examples/sets"];
    let mut examples: Vec<PathBuf> = directories
        .iter()
        .flat_map(|directory| std::fs::read_dir(root().join(directory)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    examples.sort();
    for path in examples {
        documents.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    }
    for (index, more) in MORE.iter().enumerate() {
        documents.push((format!("more {index}"), completed(more)));
    }
    let yaml = |(name, text)| Document {
        name,
        text,
        format: DocumentFormat::Yaml,
    };
    documents.into_iter().map(yaml).collect()
}

/// The document as the schema sees it.
pub(super) fn value(text: &str, format: DocumentFormat) -> Value {
    plain_value(text, "document", format).unwrap()
}
