//! A configuration of promptfoo whose assertions a model grades is imported and runs: the stub answers, and the stub judges.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use testfleet_stub::{Stub, StubSettings};
use testfleet_tests::program;

const SUITE: &str = r#"
description: Graded by a model
prompts: ['{{query}}']
providers:
  - id: https
    config:
      url: STUB/chat
      method: POST
      body: {message: '{{prompt}}'}
defaultTest:
  options:
    transform: output.answer
    provider:
      text: {id: 'openai:chat:judge', config: {apiBaseUrl: 'STUB/judge/v1', apiKeyRequired: false, temperature: 0}}
      embedding: {id: 'openai:embeddings:vectors', config: {apiBaseUrl: 'STUB/judge/v1', apiKeyEnvar: JUDGE_KEY}}
  assert:
    - {type: llm-rubric, metric: rubric, value: delivery to Germany}
tests:
  - description: right
    vars: {query: How long does delivery to Germany take?, context: Delivery to Germany takes 3 to 5 working days.}
    assert:
      - {type: not-llm-rubric, metric: not, value: Elephants dance}
      - {type: model-graded-closedqa, metric: closed, value: Names working days}
      - {type: factuality, metric: facts, value: Delivery to Germany takes 3 to 5 working days.}
      - {type: g-eval, metric: geval, value: [working days, delivery to Germany]}
      - {type: answer-relevance, metric: relevant}
      - {type: context-faithfulness, metric: faithful, threshold: 0.9}
      - {type: context-recall, metric: recalled, value: It takes 3 to 5 working days., threshold: 0.9}
      - {type: context-relevance, metric: context, threshold: 0.9}
      - {type: context-faithfulness, metric: from answer, contextTransform: output.answer, threshold: 0.9}
      - {type: similar, metric: similar, value: Delivery to Germany takes working days, threshold: 0.7}
      - type: llm-rubric
        metric: own words
        value: working days
        rubricPrompt:
          - {role: system, content: 'You grade for a shop. The customer asked {{query}}'}
          - {role: user, content: "Answer: {{output}}\nRubric: {{rubric}}"}
  - description: wrong
    vars: {query: How long is a gift card valid?}
  - description: from a table
    vars: {query: How long does delivery to Germany take?}
    assert: ['llm-rubric: Names working days']
"#;

fn testfleet(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(program("testfleet"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("JUDGE_KEY", "sk-a-key-of-a-judge")
        .output()
        .unwrap()
}

#[test]
fn what_a_model_grades_there_it_grades_here() {
    let stub = Stub::start(StubSettings::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let suite = SUITE.replace("STUB", stub.url());
    std::fs::write(directory.path().join("promptfooconfig.yaml"), suite).unwrap();
    let imported = testfleet(
        directory.path(),
        &["config", "import", "promptfooconfig.yaml", "-o", "suite.yaml"],
    );
    let said = String::from_utf8_lossy(&imported.stderr);
    assert_eq!(imported.status.code(), Some(0), "{said}");
    assert!(said.contains("tests imported: 3; left out: 0; changed: 1"), "{said}");
    let checked = testfleet(directory.path(), &["config", "check", "suite.yaml"]);
    assert_eq!(
        checked.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );

    let ran = testfleet(directory.path(), &["run", "suite.yaml", "--json", "--quiet"]);
    let errors = String::from_utf8_lossy(&ran.stderr);
    // 100: at least one test failed, and none ended in error.
    assert_eq!(ran.status.code(), Some(100), "{errors}");
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let mut results: Vec<&Value> = report["results"].as_array().unwrap().iter().collect();
    results.sort_by_key(|result| result["index"].as_u64());
    let statuses: Vec<&str> = results
        .iter()
        .map(|result| result["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["Pass", "Fail", "Pass"], "{results:#?}");
    let metrics = results[0]["metrics"].as_array().unwrap();
    let names: Vec<&str> = metrics.iter().map(|metric| metric["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "rubric",
            "not",
            "closed",
            "facts",
            "geval",
            "relevant",
            "faithful",
            "recalled",
            "context",
            "from answer",
            "similar",
            "own words",
        ]
    );
    // Whoever was asked has been asked: what a model took is known of each metric.
    for metric in metrics {
        assert!(
            metric["usage"]["input_tokens"]
                .as_f64()
                .is_some_and(|tokens| tokens > 0.0),
            "{metric:#}"
        );
    }
    assert_eq!(results[1]["metrics"][0]["is_successful"], false, "{:#}", results[1]);
}
