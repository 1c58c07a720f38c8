//! Models, and the metrics that ask them.

use super::*;
use crate::configuration::reading::from_canonical_json;
use crate::configuration::{Aggregate, MetricKind, TestConfiguration};

const JUDGE: &str = "models: {judge: {base_url: 'https://llm.test/v1', model: small}}\n";
const TESTS: &str = "test_set: {tests: [{input: a}]}\n";

fn document(rest: &str) -> TestConfiguration {
    read(&format!("{HEAD}{TESTS}{rest}")).unwrap().configuration
}

fn model(model: &str) -> String {
    refused(&format!("{HEAD}{TESTS}models: {{judge: {model}}}"))
}

fn metric(metric: &str) -> String {
    refused(&format!("{HEAD}{TESTS}{JUDGE}metrics: [{metric}]"))
}

#[test]
fn a_model_has_the_defaults_of_its_own() {
    let configuration = document(JUDGE);
    let judge = &configuration.models["judge"];
    assert_eq!(judge.key(), "https://llm.test/v1 small");
    assert_eq!(judge.retry.max_attempts, 4);
    let statuses = serde_json::to_value(&judge.retry.retry_on).unwrap();
    assert_eq!(
        statuses,
        serde_json::json!(["connect", "timeout", "protocol", 408, 429, 502, 503, 504, 500, 529])
    );
    assert!(judge.limits.is_none());
    let with_id = document("models: {m: {id: gpu, base_url: 'https://llm.test/', model: x}}");
    assert_eq!(with_id.models["m"].key(), "gpu");
}

#[test]
fn what_is_stored_is_read_back_the_same_by_both_readers() {
    let configuration = document(
        "models:\n  judge: {id: j, base_url: 'https://llm.test/v1', model: small, api_key: '{{ secrets.K }}', headers: {X-A: b},\n    \
         params: {temperature: 0, seed: 7}, timeouts: {attempt: 20s}, retry: {max_attempts: 2},\n    \
         limits: {max_concurrency: 4, rate: 60/m}, pricing: {input_per_million: 0.5, output_per_million: 1.5}}\n  \
         vectors: {base_url: 'https://llm.test/v1', model: v}\n\
         secrets: {K: }\n\
         metrics:\n\
         - {type: llm-rubric, model: judge, value: kind, samples: 3, aggregate: majority}\n\
         - {type: judge, model: judge, value: [kind, short], categories: [good, bad], passing_categories: [good]}\n\
         - {type: judge, model: judge, value: kind, min: 1, max: 5, threshold: 4}\n\
         - {type: g-eval, model: judge, steps: [look, decide], threshold: 0.7}\n\
         - {type: factuality, model: judge, value: x, passing_categories: [same]}\n\
         - {type: similar, model: vectors, value: [x, y]}\n\
         - {type: webhook, url: 'https://hook.test/', headers: {A: b}, timeouts: {attempt: 5s}, retry: {max_attempts: 1}}\n",
    );
    let stored = serde_json::to_string(&configuration).unwrap();
    assert_eq!(from_canonical_json(&stored).unwrap(), configuration);
    let again = read_configuration(&stored, "a.json", DocumentFormat::Json, &Defaults::default()).unwrap();
    assert_eq!(again.configuration, configuration);
    assert_eq!(configuration.metrics[0].aggregate, Some(Aggregate::Majority));
    assert_eq!(configuration.metrics[2].share(3.0), Some(0.5));
    assert_eq!(configuration.metrics[1].share(1.0), None);
}

#[test]
fn a_document_without_models_is_stored_as_before() {
    let stored = serde_json::to_string(&document("metrics: [{type: is-json}]")).unwrap();
    for key in ["models", "samples", "pricing", "headers", "categories", "steps"] {
        assert!(!stored.contains(&format!("\"{key}\"")), "{key}: {stored}");
    }
}

#[test]
fn problems_of_models() {
    check(
        model,
        &[
            (
                "{}",
                "suite.yaml:5:17: models.judge.base_url: missing; write the address under which /chat/completions is, for example https://llm.example.com/v1\n\
                 suite.yaml:5:17: models.judge.model: missing; write the name that the server has for the model",
            ),
            (
                "{base_url: 'https://x.test/chat/completions', model: m}",
                "suite.yaml:5:28: models.judge.base_url: ends before /chat/completions, which is added to it",
            ),
            (
                "{base_url: 'https://{{ secrets.X }}/', model: m}",
                "suite.yaml:5:28: models.judge.base_url: is no template; write the address itself",
            ),
            (
                "{base_url: 'https://x.test', model: m, params: {messages: []}}",
                "suite.yaml:5:65: models.judge.params.messages: `messages` is set with each request and cannot be given here",
            ),
            (
                "{base_url: 'https://x.test', model: m, pricing: {input_per_million: -1, output_per_million: 0}}",
                "suite.yaml:5:85: models.judge.pricing.input_per_million: must not be less than 0",
            ),
            (
                "{base_url: 'https://x.test', model: m, temperature: 0}",
                "suite.yaml:5:56: models.judge.temperature: unknown key",
            ),
        ],
    );
    assert_eq!(
        refused(&format!(
            "{HEAD}{TESTS}models: {{'a b': {{base_url: 'https://x.test', model: m}}}}"
        )),
        "suite.yaml:5:10: models.a b: expected a name of 1 to 64 letters, digits, `.`, `_` and `-`, found \"a b\""
    );
}

#[test]
fn problems_of_metrics_that_ask() {
    check(
        metric,
        &[
            (
                "{type: llm-rubric, value: x, model: jugde}",
                "suite.yaml:6:47: metrics[0].model: there is no model \"jugde\" under `models`; did you mean \"judge\"?",
            ),
            (
                "{type: assert-set, metrics: [{type: llm-rubric, value: x, model: z}]}",
                "suite.yaml:6:76: metrics[0].metrics[0].model: there is no model \"z\" under `models`; it has judge",
            ),
            (
                "{type: llm-rubric}",
                "suite.yaml:6:11: metrics[0].value: missing; write what the answer has to be like",
            ),
            (
                "{type: llm-rubric, value: x, aggregate: median}",
                "suite.yaml:6:51: metrics[0].aggregate: one sample is what it is; write how many under `samples`",
            ),
            (
                "{type: llm-rubric, value: x, samples: 33}",
                "suite.yaml:6:49: metrics[0].samples: at most 32 samples are possible",
            ),
            (
                "{type: g-eval}",
                "suite.yaml:6:11: metrics[0].value: missing; write the criteria, or how to evaluate under `steps`",
            ),
            (
                "{type: similar, value: x, prompt: y}",
                "suite.yaml:6:37: metrics[0].prompt: does nothing for `similar`",
            ),
            (
                "{type: llm-rubric, prompt: 7}",
                "suite.yaml:6:38: metrics[0].prompt: expected a text, or a list of messages, found the number 7",
            ),
            (
                "{type: llm-rubric, prompt: [{role: tool, content: x}]}",
                "suite.yaml:6:46: metrics[0].prompt[0].role: unknown value \"tool\"; expected system, user or assistant",
            ),
            (
                "{type: llm-rubric, prompt: [{role: user}]}",
                "suite.yaml:6:39: metrics[0].prompt[0].content: missing; a message has a `role` and a `content`",
            ),
            (
                "{type: context-recall}",
                "suite.yaml:6:18: metrics[0].type: unknown metric \"context-recall\"; its name is \"contextual-recall\" here",
            ),
            (
                "{type: judge, value: x}",
                "suite.yaml:6:11: metrics[0].threshold: missing; write the score to reach, or `categories`",
            ),
            (
                "{type: judge, value: x, min: 1, max: 5, threshold: 6}",
                "suite.yaml:6:62: metrics[0].threshold: must lie between the lowest score (1) and the highest (5)",
            ),
            (
                "{type: judge, value: x, min: 5, max: 5, threshold: 5}",
                "suite.yaml:6:48: metrics[0].max: the highest score (5) must be more than the lowest (5)",
            ),
            (
                "{type: judge, value: x, categories: [a, b]}",
                "suite.yaml:6:11: metrics[0].passing_categories: missing; write which of the categories pass",
            ),
            (
                "{type: judge, value: x, categories: [a, b], passing_categories: [c]}",
                "suite.yaml:6:76: metrics[0].passing_categories[0]: \"c\" is none of the categories",
            ),
            (
                "{type: judge, value: x, categories: [a, b], passing_categories: [a], threshold: 1}",
                "suite.yaml:6:80: metrics[0].threshold: does nothing for `judge` with `categories`",
            ),
            (
                "{type: factuality, value: x, passing_categories: [sam]}",
                "suite.yaml:6:61: metrics[0].passing_categories[0]: unknown value \"sam\"; did you mean \"same\"?",
            ),
            (
                "{type: similar, value: x, samples: 2}",
                "suite.yaml:6:37: metrics[0].samples: does nothing for `similar`",
            ),
            (
                "{type: is-json, model: judge}",
                "suite.yaml:6:27: metrics[0].model: does nothing for `is-json`",
            ),
            (
                "{type: webhook}",
                "suite.yaml:6:11: metrics[0].url: missing; write the address that is asked, https://…",
            ),
            (
                "{type: faithfulness}",
                "suite.yaml:4:20: test_set.tests[0].context: missing; `faithfulness` looks at it; give the test one, or write endpoint.response.map.context",
            ),
        ],
    );
    assert_eq!(
        refused(&format!("{HEAD}{TESTS}metrics: [{{type: answer-relevancy}}]")),
        "suite.yaml:5:11: metrics[0]: `answer-relevancy` asks a model; define one under `models`"
    );
    let two = "models: {a: {base_url: 'https://x.test', model: m}, b: {base_url: 'https://x.test', model: m}}\n";
    assert_eq!(
        refused(&format!("{HEAD}{TESTS}{two}metrics: [{{type: answer-relevancy}}]")),
        "suite.yaml:6:11: metrics[0]: `answer-relevancy` asks a model and there are several; write one of a, b under `model`"
    );
    assert!(MetricKind::ALL.iter().filter(|kind| kind.asks_model()).count() == 10);
}
