//! Configurations, tests and submissions for the tests of this crate.
#![allow(dead_code, reason = "every test program uses a part of it")]

use std::convert::Infallible;
use std::time::Duration;

use testfleet_dispatcher::{DispatchLimits, DispatchOptions, StoreRetry, Submission, dispatch};
use testfleet_model::configuration::TestCase;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::{ExecutionMode, RunId, RunState, Status, TestConfiguration};
use testfleet_store::{
    ClaimAnswer, ClaimedTest, Completion, ControlJob, Feedback, Store, StoreOptions, Want, WorkerInfo,
};
use testfleet_testkit::TestRedis;

const HOUR: Duration = Duration::from_secs(3600);

const DOCUMENT: &str = r#"
version: 1
name: support assistant
endpoint:
  id: assistant
  url: http://127.0.0.1:8080/chat
  body: { message: "{{ input }}" }
  limits: { max_concurrency: 7 }
test_set:
  id: set-1
  tests: [{ id: written, input: Hello }]
metrics: [{ type: contains, value: hello }]
attributes: { batch_concurrency: 5, per_test_timeout: 60s }
"#;

pub(crate) fn configuration() -> TestConfiguration {
    read_configuration(DOCUMENT, "suite.yaml", DocumentFormat::Yaml, &Defaults::default())
        .unwrap()
        .configuration
}

pub(crate) fn configuration_in(mode: ExecutionMode) -> TestConfiguration {
    let mut configuration = configuration();
    configuration.attributes.execution_mode = mode;
    configuration
}

pub(crate) fn keyed(key: &str, tests: Vec<TestCase>) -> TestConfiguration {
    let mut configuration = configuration();
    configuration.attributes.idempotency_key = Some(key.to_owned());
    configuration.test_set.tests = tests;
    configuration
}

pub(crate) fn test(index: usize) -> TestCase {
    TestCase {
        id: format!("t{index}"),
        input: Some(format!("question {index}")),
        ..TestCase::default()
    }
}

pub(crate) fn tests(count: usize) -> Vec<TestCase> {
    (0..count).map(test).collect()
}

pub(crate) fn stream(tests: &[TestCase]) -> impl Iterator<Item = Result<TestCase, Infallible>> + Send + '_ {
    tests.iter().cloned().map(Ok)
}

pub(crate) fn run_id(number: u128) -> RunId {
    RunId::new(uuid::Uuid::from_u128(number))
}

pub(crate) fn limits() -> DispatchLimits {
    DispatchLimits {
        max_test_bytes: 2_000,
        ..DispatchLimits::default()
    }
}

pub(crate) fn submission(run: RunId, configuration: &TestConfiguration) -> Submission<'_> {
    Submission {
        run,
        configuration,
        configuration_id: None,
        limits: limits(),
    }
}

/// Pauses so short that tests do not wait for them.
pub(crate) fn impatient() -> DispatchOptions<'static> {
    DispatchOptions {
        tests: None,
        subset: None,
        retry: StoreRetry {
            attempts: 3,
            pause: Duration::from_millis(1),
        },
    }
}

pub(crate) fn store(redis: &TestRedis) -> Store {
    Store::new(&StoreOptions::new(redis.url())).unwrap()
}

/// Dispatches these tests and ends the run; `end` says how each of them ends, by its id and index: status and stored result.
pub(crate) async fn run_to_its_end(
    store: &Store,
    run: RunId,
    tests: &[TestCase],
    end: impl Fn(&str, u32) -> (Status, Vec<u8>),
) {
    let mut configuration = configuration();
    configuration.attributes.batch_concurrency = 2_000;
    configuration.endpoint.limits.max_concurrency = None;
    dispatch(store, submission(run, &configuration), stream(tests))
        .await
        .unwrap();
    let (seat, _) = store.register("w1", HOUR, &WorkerInfo::default()).await.unwrap();
    loop {
        let want = Want { tests: 256, control: 1 };
        let ClaimAnswer::Claimed(claimed) = store.claim(&seat, want).await.unwrap() else {
            panic!("not registered")
        };
        if let Some(control) = claimed.control.first() {
            assert_eq!(control.job, ControlJob::Collect(run));
            store
                .collect(&seat, run, control.fence, RunState::Partial, "{}", None, HOUR)
                .await
                .unwrap();
            return;
        }
        let completion = |test: &ClaimedTest| {
            let id = TestCase::from_stored(&test.payload).unwrap().id;
            let (status, result) = end(&id, test.index);
            Completion {
                run,
                index: test.index,
                fence: test.fence,
                status,
                result,
                captured: String::new(),
                give_up: String::new(),
                feedback: Feedback::default(),
            }
        };
        let completions: Vec<Completion> = claimed.tests.iter().map(completion).collect();
        store.complete(&seat, &completions, Want::default()).await.unwrap();
    }
}
