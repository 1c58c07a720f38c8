//! Test sets of other tools run unchanged, and the verdicts are those that can be told beforehand.
//!
//! The configurations of `config/examples/sets` run over small sets of the same shapes that lie beside them; and, where
//! `TESTFLEET_SHARED_DATA` names a directory with the public sets themselves (`biology_qa.jsonl` and so on, as inspect_ai
//! has them),
//! over those. Every fifth question is answered wrongly.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testfleet_stub::{Answers, Stub, StubSettings};
use testfleet_tests::{page, program};

/// Name of set and configuration, field of the question, field of the answer.
const SETS: [(&str, &str, &str); 5] = [
    ("biology_qa", "question", "answer"),
    ("theory_of_mind", "input", "target"),
    ("security_guide", "input", "target"),
    ("popularity", "question", "answer_matching_behavior"),
    ("bias_detection", "input", "target"),
];
const WRONG_EVERY: usize = 5;

fn question(value: &Value) -> String {
    let text = match value {
        Value::Array(messages) => {
            messages.iter().rfind(|message| message["role"] == "user").unwrap()["content"].clone()
        }
        other => other.clone(),
    };
    // As the stub tells questions apart.
    let text = text.as_str().unwrap().to_lowercase().replace(['\'', '\u{2019}'], "");
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether each record passes: its question was not answered wrongly, and not as an earlier record of it would have it.
fn predicted(records: &[Value], asked: &str, answered: &str) -> Vec<bool> {
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut verdicts = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let holds = *first.entry(question(&record[asked])).or_insert(index);
        let is_wrong = (holds + 1).is_multiple_of(WRONG_EVERY);
        verdicts.push(!is_wrong && records[holds][answered] == record[answered]);
    }
    verdicts
}

fn run(data: &Path) {
    for (name, asked, answered) in SETS {
        let set = std::fs::read_to_string(data.join(format!("{name}.jsonl"))).unwrap();
        let records: Vec<Value> = set
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let answers = Answers {
            question: Some(asked.to_owned()),
            answer: Some(answered.to_owned()),
            wrong_every: Some(WRONG_EVERY),
            ..Answers::default()
        };
        let settings = StubSettings {
            knowledge: answers.read(&set).unwrap(),
            ..StubSettings::default()
        };
        let stub = Stub::start(settings).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("data")).unwrap();
        std::fs::write(directory.path().join(format!("data/{name}.jsonl")), &set).unwrap();
        let configuration = page::read(&format!("config/examples/sets/{name}.yaml"));
        let configuration = configuration.replace("http://127.0.0.1:8765", stub.url());
        std::fs::write(directory.path().join("suite.yaml"), configuration).unwrap();
        let output = Command::new(program("testfleet"))
            .args(["run", "suite.yaml", "--json", "--quiet"])
            .current_dir(directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let expected = predicted(&records, asked, answered);
        assert!(
            expected.contains(&true) && expected.contains(&false),
            "{name} should have both"
        );
        // 100: at least one test failed, and none ended in error.
        assert_eq!(output.status.code(), Some(100), "{name}: {errors}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut results: Vec<&Value> = report["results"].as_array().unwrap().iter().collect();
        results.sort_by_key(|result| result["index"].as_u64());
        let passed: Vec<bool> = results.iter().map(|result| result["status"] == "Pass").collect();
        let different: Vec<&&Value> = results
            .iter()
            .zip(passed.iter().zip(&expected))
            .filter(|(_, (is, should))| is != should)
            .map(|(result, _)| result)
            .collect();
        assert_eq!(passed, expected, "{name}: {different:?}");
    }
}

#[test]
fn sets_of_the_shapes_of_public_ones_end_as_predicted() {
    let data: PathBuf = page::root().join("config/examples/sets/data");
    run(&data);
}

#[test]
fn the_public_sets_end_as_predicted() {
    match std::env::var_os("TESTFLEET_SHARED_DATA").filter(|directory| !directory.is_empty()) {
        Some(directory) => run(Path::new(&directory)),
        #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
        None => eprintln!("left out: TESTFLEET_SHARED_DATA names no directory with the public sets"),
    }
}
