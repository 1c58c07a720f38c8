//! A configuration, somebody who asks, and what comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeZone, Utc};
use serde_json::{Value, json};
use testfleet_endpoint::{AnswerMemory, Egress, Limits, Lookup, Secrets};
use testfleet_evaluation::{Background, Call, Evaluation, MetricSet, Sample, Subject};
use testfleet_judge::{Gate, LANGUAGE, ModelContext, Models, Occasion, OpenGate, answer};
use testfleet_model::configuration::TestCase;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::result::MetricResult;
use testfleet_model::{RunId, TestConfiguration};
use testfleet_stub::{Stub, StubHandle, StubSettings};
use tokio::time::Instant;

/// Ends a test that failed; nothing else takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The secret of all configurations here.
pub(crate) const SECRET: &str = "sk-very-secret-value";

struct Known;

impl Lookup for Known {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "KEY").then(|| SECRET.to_owned())
    }

    fn file(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// A stub that judges.
pub(crate) fn stub() -> StubHandle {
    Stub::start(StubSettings::default()).unwrap()
}

/// A configuration with one model and the given metrics.
pub(crate) fn configuration(base_url: &str, model: &str, options: Value, metrics: Value) -> TestConfiguration {
    let mut judge = json!({
        "base_url": base_url, "model": model, "api_key": "{{ secrets.KEY }}",
        "retry": {"max_attempts": 2, "backoff": {"initial": "1ms", "max": "1ms"}},
        "pricing": {"input_per_million": 1_000_000, "output_per_million": 1_000_000},
    });
    judge
        .as_object_mut()
        .unwrap()
        .extend(options.as_object().unwrap().clone());
    let document = json!({
        "version": 1, "name": "n", "secrets": {"KEY": {}},
        "endpoint": {"url": "http://127.0.0.1/"},
        "models": {"judge": judge},
        "test_set": {"tests": [{"id": "t", "input": "Can I return the kettle?", "expected_output": "Within 30 days.",
            "context": ["A kettle can be returned within 30 days.", "Shipping is free."]}]},
        "metrics": metrics,
    });
    let text = document.to_string();
    read_configuration(&text, "a.json", DocumentFormat::Json, &Defaults::default())
        .unwrap_or_else(|problems| panic!("{problems}"))
        .configuration
}

pub(crate) fn models(configuration: &TestConfiguration, gate: Arc<dyn Gate>) -> Models {
    let context = ModelContext {
        secrets: Secrets::resolve(&configuration.secrets, &Known),
        egress: Egress::public_only().allow_loopback(true),
        limits: Limits::default(),
        root_certificates: Arc::from([]),
        memory: AnswerMemory::new(64 << 20),
        gate,
        jitter: || 0.5,
    };
    Models::compile(configuration, context).unwrap()
}

/// Evaluates an output by the metrics of a configuration.
pub(crate) async fn evaluate_by(
    configuration: &TestConfiguration,
    models: &Models,
    output: &str,
    by: Instant,
) -> Vec<MetricResult> {
    let test: &TestCase = &configuration.test_set.tests[0];
    let output = json!(output);
    let subject = Subject {
        expected: test.expected_output.as_ref(),
        ..Subject::of(&output)
    };
    let sample: Sample<'_> = subject.with(Call::default()).about(Background {
        input: test.input.as_deref(),
        context: &test.context,
        test_id: &test.id,
        ..Background::default()
    });
    let metrics = MetricSet::compile_with(&configuration.metrics, LANGUAGE).unwrap();
    let run: RunId = "018f6b5e-0000-7000-8000-000000000001".parse().unwrap();
    let occasion = Occasion {
        run: &run,
        run_name: "n",
        test_id: &test.id,
        index: 0,
        epoch: 1,
        turn: None,
        attempt: 1,
        holder: "w",
        now: Utc.timestamp_opt(1_700_000_000, 0).unwrap(),
    };
    let mut evaluation = Evaluation::begin(&metrics, test, sample, Some(LANGUAGE));
    loop {
        let open = evaluation.advance(|| Duration::ZERO);
        if open.is_empty() {
            return evaluation.finish().metrics;
        }
        for (id, answer) in answer(models, open, &occasion, by).await {
            evaluation.answer(&id, answer);
        }
    }
}

/// The result of one metric at one model.
pub(crate) async fn evaluate(base_url: &str, model: &str, options: Value, metric: Value, output: &str) -> MetricResult {
    let configuration = configuration(base_url, model, options, json!([metric]));
    let models = models(&configuration, Arc::new(OpenGate));
    let mut results = evaluate_by(&configuration, &models, output, Instant::now() + PATIENCE).await;
    results.remove(0)
}

/// What was used.
pub(crate) fn tokens(result: &MetricResult) -> BTreeMap<&str, f64> {
    result
        .usage
        .iter()
        .map(|(name, tokens)| (name.as_str(), *tokens))
        .collect()
}
