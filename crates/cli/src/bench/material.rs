//! What is submitted: configurations and tests, made rather than read.

use std::convert::Infallible;
use std::time::Duration;

use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::configuration::{Adaptive, Breaker, Limits, Priority, Rate, TestCase};
use testfleet_model::{RunId, TestConfiguration};

use super::plan::{Plan, Work};
use crate::exit::Failure;

/// An endpoint that is never called.
const NEVER_CALLED: &str = r#"{"version": 1, "name": "bench",
    "endpoint": {"url": "http://noop.invalid/", "response": {"map": {"output": "$"}}},
    "test_set": {"tests": [{"input": "-"}]}}"#;
/// The chat of a stub, whose URL takes the place of `STUB`.
const CALLED: &str = r#"{"version": 1, "name": "bench",
    "endpoint": {
        "url": "STUB/chat", "method": "POST", "body": {"message": "{{ input }}"},
        "response": {"map": {"output": "$.answer"}}
    },
    "metrics": [{"type": "status-code", "value": 200}],
    "test_set": {"tests": [{"input": "-"}]}}"#;
const STATUS_CHECKED: &str = r#""metrics": [{"type": "status-code", "value": 200}],"#;

/// What makes them judged, by a model that takes `MILLISECONDS`.
const JUDGED: &str = r#""models": {"judge": {"base_url": "STUB/judge/v1", "model": "judge",
        "headers": {"x-stub-latency-ms": "MILLISECONDS"}}},
    "metrics": [{"type": "llm-rubric", "value": "know"}],"#;

/// A run that is not there yet.
pub(super) fn fresh_run() -> RunId {
    RunId::new(uuid::Uuid::now_v7())
}

/// The configuration of the plan's runs. `stub`: where the calls go.
pub(super) fn configuration(plan: &Plan, stub: Option<&str>) -> Result<TestConfiguration, Failure> {
    let text = match (plan.work, stub) {
        (Work::Call, Some(url)) => match plan.judged {
            Some(judged) => {
                let latency = judged.latency.as_millis().to_string();
                let asks = JUDGED.replace("MILLISECONDS", &latency);
                CALLED.replace(STATUS_CHECKED, &asks).replace("STUB", url)
            }
            None => CALLED.replace("STUB", url),
        },
        _ => NEVER_CALLED.to_owned(),
    };
    let reading = read_configuration(&text, "bench", DocumentFormat::Json, &Defaults::default())?;
    let mut configuration = reading.configuration;
    configuration.attributes.execution_mode = plan.mode;
    configuration.attributes.batch_concurrency = plan.room().max(1);
    if let Some(judged) = plan.judged {
        configuration.endpoint.limits.max_concurrency = Some(judged.places);
    }
    if plan.limits {
        let places = configuration.endpoint.limits.max_concurrency;
        configuration.endpoint.limits = every_limit();
        configuration.endpoint.limits.max_concurrency = places.or(configuration.endpoint.limits.max_concurrency);
        configuration.attributes.tenant = Some("bench".to_owned());
        configuration.attributes.priority = Priority::High;
        configuration.attributes.budget.requests = Some(1 << 40);
    }
    Ok(configuration)
}

/// The same at an endpoint of its own.
pub(super) fn at_own_endpoint(configuration: &TestConfiguration, number: u32) -> TestConfiguration {
    let mut own = configuration.clone();
    own.endpoint.id = Some(format!("bench-{number}"));
    own
}

/// None of them is met: what they cost is measured, not what they are for.
fn every_limit() -> Limits {
    let rate = Rate {
        count: 1_000_000_000,
        per: Duration::from_secs(1),
        burst: None,
    };
    Limits {
        max_concurrency: Some(1 << 24),
        rate: Some(rate),
        tokens: Some(rate),
        adaptive: Adaptive {
            enabled: true,
            min: 1,
            start: Some(1 << 24),
        },
        breaker: Some(Breaker {
            failures: 1_000,
            cool_down: Duration::from_secs(1),
        }),
    }
}

pub(super) fn tests(count: u32) -> impl Iterator<Item = Result<TestCase, Infallible>> {
    (0..count).map(|index| Ok(test(index)))
}

pub(super) fn test(index: u32) -> TestCase {
    TestCase {
        id: format!("test-{index}"),
        input: Some(format!("What is the answer to question {index}?")),
        ..TestCase::default()
    }
}

/// A test as it is stored.
pub(super) fn payload(index: u32) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(&test(index)).map_err(|error| Failure::internal(format!("could not write a test: {error}")))
}

#[cfg(test)]
mod tests {
    use super::super::flag::Given;
    use super::super::plan::Judged;
    use super::super::workload::Workload;
    use super::*;

    #[test]
    fn the_configurations_read_and_say_where_calls_go() {
        let mut plan = Plan::new(Workload::Http, &Given::default(), 7);
        plan.limits = true;
        assert!(configuration(&plan, None).is_ok());
        plan.work = Work::Call;
        let called = configuration(&plan, Some("http://127.0.0.1:9")).unwrap();
        assert_eq!(called.endpoint.url, "http://127.0.0.1:9/chat");
        assert_eq!(called.attributes.batch_concurrency, 7);
        plan.judged = Some(Judged {
            places: 3,
            latency: Duration::from_millis(250),
        });
        let judged = configuration(&plan, Some("http://127.0.0.1:9")).unwrap();
        assert_eq!(judged.models["judge"].base_url, "http://127.0.0.1:9/judge/v1");
        assert_eq!(judged.endpoint.limits.max_concurrency, Some(3));
        assert_ne!(at_own_endpoint(&called, 1).endpoint.key(), called.endpoint.key());
    }
}
