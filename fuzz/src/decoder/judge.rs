//! What models that judge, models that embed and webhooks answer.
//!
//! The head has a line `metric: …` (one metric, as canonical JSON) and lines `status: 200` and `said: yes`; the rest is the body
//! of every answer, or with `said` what the model says in a chat completion.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};
use testfleet_endpoint::{AnswerMemory, Egress, Limits, Secrets};
use testfleet_evaluation::{Background, Call, Evaluation, MetricSet, Subject};
use testfleet_judge::{LANGUAGE, ModelContext, Models, Occasion, OpenGate, answer};
use testfleet_model::TestConfiguration;
use testfleet_model::configuration::Metric;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};

use super::endpoint::{VAULT, question, run};
use super::input::{halves, keeps_the_secret, pairs, said, text};
use super::server::{Server, response};

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
static MODELS: LazyLock<Models> = LazyLock::new(models);

/// The most questions that one metric asks, one after the other.
const MOST_ROUNDS: usize = 100;

fn models() -> Models {
    let server = |model: &str| {
        json!({
            "base_url": format!("http://{}/v1", SERVER.address), "model": model, "api_key": "{{ secrets.TOKEN }}",
            "retry": {"max_attempts": 1}, "timeouts": {"connect": "2s", "idle": "2s", "attempt": "4s"},
            "pricing": {"input_per_million": 1, "output_per_million": 2},
        })
    };
    let document = json!({
        "version": 1, "name": "fuzz", "secrets": {"TOKEN": {}}, "endpoint": {"url": "http://127.0.0.1/"},
        "models": {"judge": server("judge")}, "test_set": {"tests": [{"id": "t", "input": "a question"}]},
        "metrics": [{"type": "contains", "value": "x"}],
    });
    let read = read_configuration(
        &document.to_string(),
        "a.json",
        DocumentFormat::Json,
        &Defaults::default(),
    );
    let configuration: TestConfiguration = read.expect("a configuration").configuration;
    let context = ModelContext {
        secrets: Secrets::resolve(&configuration.secrets, &VAULT),
        egress: Egress::public_only().allow_loopback(true),
        limits: Limits::default(),
        root_certificates: Arc::from([]),
        memory: AnswerMemory::new(64 << 20),
        gate: Arc::new(OpenGate),
        jitter: || 0.5,
    };
    Models::compile(&configuration, context).expect("models")
}

/// Lets a metric ask and reads the answers.
pub fn check(data: &[u8]) {
    let (head, body) = halves(data);
    let (mut metric, mut status, mut is_said) = (None, 200, false);
    for (key, value) in pairs(head) {
        let word = text(&value);
        match key.as_str() {
            "metric" => metric = serde_json::from_str::<Value>(&word).ok(),
            "status" => {
                status = word
                    .parse()
                    .ok()
                    .filter(|status| (200..600).contains(status))
                    .unwrap_or(status)
            }
            "said" => is_said = true,
            _ => {}
        }
    }
    let Some(mut metric) = metric else { return };
    lead_here(&mut metric);
    let Ok(metric) = serde_json::from_value::<Metric>(metric) else {
        return;
    };
    let Ok(set) = MetricSet::compile_with(&[metric], LANGUAGE) else {
        return;
    };
    let body = if is_said {
        let message = json!({"role": "assistant", "content": text(body)});
        json!({"choices": [{"message": message, "finish_reason": "stop"}]})
            .to_string()
            .into_bytes()
    } else {
        body.to_vec()
    };
    SERVER.answer_with(move |_| response(status, "application/json", &body));
    evaluate(&set);
}

/// Whoever is called is called here.
fn lead_here(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("url") {
                members.insert("url".to_owned(), format!("http://{}/hook", SERVER.address).into());
                members.insert("retry".to_owned(), json!({"max_attempts": 1}));
            }
            members.values_mut().for_each(lead_here);
        }
        Value::Array(items) => items.iter_mut().for_each(lead_here),
        _ => {}
    }
}

fn evaluate(set: &MetricSet) {
    let test = question();
    let (output, expected) = (json!("an answer. It has two sentences."), json!("the right answer"));
    let context = ["a fact".to_owned(), "another".to_owned()];
    let subject = Subject {
        expected: Some(&expected),
        ..Subject::of(&output)
    };
    let sample = subject.with(Call::default()).about(Background {
        input: test.input.as_deref(),
        context: &context,
        test_id: &test.id,
        ..Background::default()
    });
    let run = run();
    let occasion = Occasion {
        run: &run,
        run_name: "fuzz",
        test_id: &test.id,
        index: 0,
        epoch: 1,
        turn: None,
        attempt: 1,
        holder: "fuzz",
        now: DateTime::UNIX_EPOCH,
    };
    let mut evaluation = Evaluation::begin(set, &test, sample, Some(LANGUAGE));
    for round in 0.. {
        assert!(round < MOST_ROUNDS, "the metric asks for ever");
        let open = evaluation.advance(|| Duration::ZERO);
        if open.is_empty() {
            break;
        }
        let answers = SERVER.wait(async {
            let by = tokio::time::Instant::now() + Duration::from_secs(20);
            answer(&MODELS, open, &occasion, by).await
        });
        for (id, answer) in answers {
            evaluation.answer(&id, answer);
        }
    }
    let assessment = evaluation.finish();
    assert_eq!(assessment.metrics.len(), 1);
    for result in &assessment.metrics {
        result.error.iter().for_each(|error| said(error));
        assert!(
            result.reason.len() < 16 * 1024,
            "a reason of {} bytes",
            result.reason.len()
        );
        assert!(result.score.is_none_or(f64::is_finite), "{result:?}");
        assert_eq!(result.is_successful.is_none(), result.error.is_some(), "{result:?}");
        assert!(
            result.usage.values().all(|count| count.is_finite() && *count >= 0.0),
            "{result:?}"
        );
    }
    serde_json::to_string(&assessment.metrics).expect("results can be stored");
    keeps_the_secret(&assessment);
}
