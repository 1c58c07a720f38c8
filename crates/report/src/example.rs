//! Runs to render in tests.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Value, json};
use testfleet_model::comparison::{BaselineResult, Outcomes, Source, TestOutcome};
use testfleet_model::configuration::{Baseline, ComparisonRules, FailOn, RepeatPolicy, Repetition, Severity, TestCase};
use testfleet_model::gate::{GateResult, overall};
use testfleet_model::recovery::{Recovery, Spent};
use testfleet_model::result::{DialogueRecord, ErrorClass, ErrorDetail, MetricResult, RequestRecord, TurnResult};
use testfleet_model::state::StopReason;
use testfleet_model::summary::{Gate, ResultDigest, SummaryBuilder, SummaryContext};
use testfleet_model::{ExecutionMode, Status, Summary, TestResult};

pub(crate) const RUN: &str = "0197c5a2-7b7e-7000-8000-000000000001";

pub(crate) fn context() -> SummaryContext {
    SummaryContext {
        test_run_id: RUN.parse().unwrap(),
        test_configuration_id: Some("support-smoke".to_owned()),
        test_set_id: Some("set-12".to_owned()),
        execution_mode: ExecutionMode::Parallel,
        started_at: DateTime::from_timestamp_millis(1_767_225_600_000),
        completed_at: DateTime::from_timestamp_millis(1_767_225_683_400),
        stop_reason: None,
        discarded_results: 0,
        gate: Gate::NotEvaluated,
        test_configuration_name: "Support bot, smoke".to_owned(),
        test_set_name: Some("Everyday questions".to_owned()),
        endpoint_name: "support-bot (staging)".to_owned(),
        project_name: Some("Support".to_owned()),
    }
}

/// A run all of whose tests passed, with gates that do not hold and a baseline that was better.
pub(crate) fn gated() -> (Summary, Vec<TestResult>) {
    let (mut summary, results) = completed();
    let gate = |gate: &str, holds, actual, reason: Option<&str>| GateResult {
        gate: gate.to_owned(),
        name: None,
        filters: Vec::new(),
        severity: Severity::Error,
        holds,
        actual,
        reason: reason.map(str::to_owned),
    };
    summary.gates = vec![
        gate("pass_rate >= 0.95", true, Some(1.0), None),
        gate(
            "latency_ms.p95 < 6000",
            false,
            Some(7_120.5),
            Some("latency_ms.p95 is 7120.5"),
        ),
        GateResult {
            name: Some("cheap".to_owned()),
            severity: Severity::Warn,
            ..gate(
                "cost <= 5",
                false,
                None,
                Some("cost is not known: no response said what it cost"),
            )
        },
        GateResult {
            filters: vec!["tag:area=refunds".to_owned()],
            ..gate("pass_rate >= 1", true, Some(1.0), None)
        },
    ];
    let outcome = |status, passed| TestOutcome {
        status,
        passed,
        executed: 1,
        latency_ms: None,
        scores: Vec::new(),
    };
    let outcomes = |tests: [(&str, TestOutcome); 3]| Outcomes {
        metrics: Vec::new(),
        tests: tests.map(|(id, test)| (id.to_owned(), test)).into(),
    };
    let (pass, fail) = (outcome(Status::Pass, 1), outcome(Status::Fail, 0));
    let before = Source {
        run: RUN.parse().unwrap(),
        outcomes: outcomes([
            ("refund-window", pass.clone()),
            ("greeting", fail.clone()),
            ("gone", pass.clone()),
        ]),
    };
    let after = outcomes([("refund-window", fail), ("greeting", pass.clone()), ("new", pass)]);
    let rule = Baseline {
        name: Some("main".to_owned()),
        run: None,
        fail_on: FailOn::Regressed,
        rules: ComparisonRules::default(),
    };
    summary.baseline = Some(BaselineResult::of(&rule, Ok(&before), &after));
    summary.gate = overall(&summary.gates, summary.baseline.as_ref());
    (summary, results)
}

pub(crate) fn summary_of(results: &[TestResult], context: SummaryContext) -> Summary {
    let mut builder = SummaryBuilder::new(u32::try_from(results.len()).unwrap());
    for result in results {
        builder.add(&ResultDigest::from(result));
    }
    builder.finish(context)
}

pub(crate) fn metric(name: &str, is_successful: Option<bool>, reason: &str) -> MetricResult {
    MetricResult {
        name: name.to_owned(),
        kind: "contains".to_owned(),
        score: is_successful.map(|passed| f64::from(u8::from(passed))),
        is_successful,
        threshold: None,
        reason: reason.to_owned(),
        duration_ms: 0.2,
        error: None,
        transient: false,
        samples: Vec::new(),
        usage: BTreeMap::new(),
        cost: None,
        counts: true,
    }
}

fn executed(index: u32, id: &str, status: Status, input: &str, output: Value) -> TestResult {
    let (execution, verdict) = status.axes();
    TestResult {
        execution,
        verdict,
        attempts: 1,
        started_at: DateTime::from_timestamp_millis(1_767_225_600_500),
        completed_at: DateTime::from_timestamp_millis(1_767_225_601_500),
        execution_time_ms: 400.0 + f64::from(index) * 120.0,
        invoke_time_ms: Some(390.0 + f64::from(index) * 120.0),
        queue_time_ms: Some(3.0),
        output: Some(output),
        request: Some(RequestRecord {
            method: "POST".to_owned(),
            url: "https://bot.example.org/chat".to_owned(),
            headers: BTreeMap::new(),
            body: Some(json!({ "message": input })),
            input: None,
        }),
        metrics: vec![metric("contains", Some(true), "the output contains \"hello\"")],
        usage: BTreeMap::from([("input_tokens".to_owned(), 412.0), ("output_tokens".to_owned(), 98.0)]),
        cost: Some(0.00042),
        worker: Some("worker-1".to_owned()),
        ..TestResult::without_execution(id, index, status, None)
    }
}

/// Ten results: five passed, two failed, one each in error, inconclusive and skipped.
pub(crate) fn partial() -> (Summary, Vec<TestResult>) {
    let mut results: Vec<TestResult> = (0..5)
        .map(|n| executed(n, &format!("greeting-{n}"), Status::Pass, "Hi!", json!("hello")))
        .collect();
    results.push(TestResult {
        description: Some("The answer names the deadline for refunds".to_owned()),
        metrics: vec![
            metric("contains", Some(false), "the output does not contain \"30 days\""),
            metric("tone", Some(true), "friendly"),
            metric("levenshtein", Some(false), "distance 118 is not <= 20"),
        ],
        ..executed(
            5,
            "refund-policy",
            Status::Fail,
            "How do I get my money back?\nI bought the shoes three weeks ago.",
            json!(
                "I am sorry to hear that!\n\nPlease contact our support team, they will be happy to help you with \
                   your order, your shoes, and anything else you may have bought from us over the years."
            ),
        )
    });
    results.push(TestResult {
        metrics: vec![metric("is-json", Some(false), "\"items\" is a required property")],
        attempts: 2,
        ..executed(
            6,
            "order-as-json",
            Status::Fail,
            "My last order as JSON",
            json!({"order": 12, "total": "9.99"}),
        )
    });
    results.push(TestResult {
        output: None,
        invoke_time_ms: None,
        metrics: Vec::new(),
        attempts: 3,
        execution_time_ms: 30_000.0,
        error: Some(ErrorDetail {
            http_status: Some(503),
            body: Some("<html>\n<h1>Service Unavailable</h1>\n</html>".to_owned()),
            ..ErrorDetail::new(
                ErrorClass::Status,
                "the endpoint answered 503 where 200-299 was expected",
            )
        }),
        usage: BTreeMap::new(),
        cost: None,
        ..executed(
            7,
            "opening-hours",
            Status::Error,
            "When are you open on Sundays?",
            Value::Null,
        )
    });
    results.push(TestResult {
        metrics: vec![metric("judge", None, "the judge answered \"maybe\"")],
        ..executed(
            8,
            "small-talk",
            Status::Inconclusive,
            "How are you?",
            json!("Fine, and you?"),
        )
    });
    results.push(TestResult::without_execution("voice-input", 9, Status::Skipped, None));
    let summary = summary_of(&results, context());
    (summary, results)
}

/// The tests behind [`partial`], as far as a report reads them.
pub(crate) fn tests() -> Vec<TestCase> {
    let mut tests: Vec<TestCase> = partial()
        .1
        .iter()
        .map(|result| TestCase {
            id: result.test_id.clone(),
            ..TestCase::default()
        })
        .collect();
    tests[5].input = Some("How do I get my money back?\nI bought the shoes three weeks ago.".to_owned());
    tests[5].expected_output = Some(json!("You can return your shoes within 30 days."));
    tests
}

/// Ten passed tests.
pub(crate) fn completed() -> (Summary, Vec<TestResult>) {
    let results: Vec<TestResult> = (0..10)
        .map(|n| executed(n, &format!("greeting-{n}"), Status::Pass, "Hi!", json!("hello")))
        .collect();
    let summary = summary_of(&results, context());
    (summary, results)
}

/// A run with two tests of three repetitions each, of which half have to pass: of `small-talk` two did, of `refund` one.
pub(crate) fn repeated() -> (Summary, Vec<TestResult>) {
    let repetition = |index: u32, test: &str, number: u32, passed: bool| {
        let status = if passed { Status::Pass } else { Status::Fail };
        let reason = if passed {
            "found"
        } else {
            "the output does not contain \"hello\""
        };
        TestResult {
            repetition: Some(Repetition {
                number,
                of: 3,
                test: test.to_owned(),
            }),
            metrics: vec![metric("contains", Some(passed), reason)],
            ..executed(index, &format!("{test}#{number}"), status, "Hi!", json!("hello"))
        }
    };
    let results = vec![
        repetition(0, "small-talk", 1, true),
        repetition(1, "small-talk", 2, false),
        repetition(2, "small-talk", 3, true),
        repetition(3, "refund", 1, false),
        repetition(4, "refund", 2, true),
        repetition(5, "refund", 3, false),
    ];
    let mut builder = SummaryBuilder::new(6);
    builder.set_repeat_policy(RepeatPolicy { min_pass_rate: 0.5 });
    for result in &results {
        builder.add(&ResultDigest::from(result));
    }
    (builder.finish(context()), results)
}

/// Two dialogues that failed, a test whose judge was away, one whose input is a template, and six in one error.
pub(crate) fn troubled() -> (Summary, Vec<TestResult>) {
    let turn = |number: u32, input: &str, output: &str, status| TurnResult {
        output: Some(json!(output)),
        ..TurnResult::new(number, None, input, status)
    };
    let mut failed_turn = turn(1, "It is order 4711.", "I do not know that order.", Status::Fail);
    failed_turn.metrics = vec![metric(
        "contains",
        Some(false),
        "the output does not contain \"kettle\"",
    )];
    let dialogue = TestResult {
        turns: vec![failed_turn, turn(2, "Thanks.", "Goodbye!", Status::Pass)],
        metrics: Vec::new(),
        ..executed(0, "dialogue", Status::Fail, "[…]", json!("Goodbye!"))
    };
    let played = TestResult {
        turns: vec![turn(1, "Where is my money?", "Please wait.", Status::Pass)],
        dialogue: Some(DialogueRecord {
            goal_reached: Some(false),
            reason: Some("it was told to wait".to_owned()),
            ..DialogueRecord::default()
        }),
        metrics: vec![metric("goal-reached", Some(false), "it was told to wait")],
        ..executed(1, "played", Status::Fail, "[…]", json!("Please wait."))
    };
    let away = "the model \"judge\": it answered 503 Service Unavailable (asked 2 times)";
    let unjudged = TestResult {
        metrics: vec![MetricResult {
            error: Some(away.to_owned()),
            ..metric("polite", None, "")
        }],
        error: Some(ErrorDetail::new(
            ErrorClass::Metric,
            format!("metric \"polite\" could not be computed: {away}"),
        )),
        ..executed(2, "unjudged", Status::Error, "Hi!", json!("hello"))
    };
    let mut templated = executed(3, "delivery-norway", Status::Fail, "", json!("I do not know."));
    templated.metrics = vec![metric("contains", Some(false), "the output does not contain \"week\"")];
    let request = templated.request.as_mut().unwrap();
    request.body = Some(json!({"model": "m", "question": "How long does delivery to Norway take?"}));
    request.set_input("How long does delivery to Norway take?");
    let refused = |index: u32| TestResult {
        output: None,
        metrics: Vec::new(),
        error: Some(ErrorDetail::new(
            ErrorClass::Connect,
            "the connection to bot.example.org:443 could not be made: Connection refused",
        )),
        ..executed(index, &format!("greeting-{index}"), Status::Error, "Hi!", Value::Null)
    };
    let secretless = TestResult {
        output: None,
        metrics: Vec::new(),
        error: Some(ErrorDetail::new(
            ErrorClass::Secret,
            "secrets without a value on this worker: TOKEN",
        )),
        ..executed(10, "secretless", Status::Error, "Hi!", Value::Null)
    };
    let mut results = vec![dialogue, played, unjudged, templated];
    results.extend((4..10).map(refused));
    results.push(secretless);
    (summary_of(&results, context()), results)
}

/// A run with a recovery round for three of its four tests: one passed, one failed once its judge was there, one is in error still.
pub(crate) fn recovered() -> (Summary, Vec<TestResult>) {
    let unavailable = || ErrorDetail {
        http_status: Some(503),
        ..ErrorDetail::new(
            ErrorClass::Status,
            "the endpoint answered 503 where 200-299 was expected",
        )
    };
    let recovery = |error: ErrorDetail, attempts, evaluated_again| {
        Some(Recovery {
            round: 1,
            attempts,
            error: Some(error),
            evaluated_again,
            attempts_before_call: 0,
            before: Spent::default(),
        })
    };
    let unjudged = ErrorDetail::new(
        ErrorClass::Metric,
        "metric \"tone\" could not be computed: nobody answered",
    );
    let results = vec![
        TestResult {
            attempts: 3,
            recovery: recovery(unavailable(), 2, false),
            ..executed(0, "hours", Status::Pass, "When are you open?", json!("From 8 to 18."))
        },
        TestResult {
            metrics: vec![metric("tone", Some(false), "it is not kind")],
            recovery: recovery(unjudged, 1, true),
            ..executed(1, "tone", Status::Fail, "It broke!", json!("So what?"))
        },
        TestResult {
            output: None,
            invoke_time_ms: None,
            metrics: Vec::new(),
            attempts: 4,
            error: Some(unavailable()),
            recovery: recovery(unavailable(), 2, false),
            ..executed(2, "refund", Status::Error, "Can I return it?", Value::Null)
        },
        executed(3, "hello", Status::Pass, "Hello!", json!("Hello!")),
    ];
    let mut summary = summary_of(&results, context());
    summary.recovery_rounds = 1;
    summary.tests_recovered = 2;
    (summary, results)
}

/// A run that was cut short by its deadline, with more failures than a report lists.
pub(crate) fn cut_short() -> (Summary, Vec<TestResult>) {
    let failed = |n| TestResult {
        metrics: vec![metric("contains", Some(false), "the output does not contain \"hello\"")],
        ..executed(
            n,
            &format!("greeting-{n:03}"),
            Status::Fail,
            "Hi!",
            json!("Good morning"),
        )
    };
    let results: Vec<TestResult> = (0..40)
        .map(|n| match n {
            0..32 => failed(n),
            _ => TestResult::without_execution(format!("greeting-{n:03}"), n, Status::NotRun, None),
        })
        .collect();
    let context = SummaryContext {
        stop_reason: Some(StopReason::Deadline),
        gate: Gate::Failed,
        discarded_results: 2,
        ..context()
    };
    (summary_of(&results, context), results)
}

/// Every text tries to break out of where it is shown.
pub(crate) fn hostile() -> (Summary, Vec<TestResult>) {
    let evil = "</td><script>alert(1)</script>\r\nBcc: all@example.org\r\n\r\n\x1b[2J\x1b]0;owned\x07\u{202e}&\"'\0\u{fffe}]]>";
    let results = vec![
        TestResult {
            description: Some(evil.to_owned()),
            metrics: vec![metric(evil, Some(false), evil)],
            ..executed(0, evil, Status::Fail, evil, json!(evil))
        },
        TestResult {
            error: Some(ErrorDetail {
                body: Some(evil.repeat(1_000)),
                ..ErrorDetail::new(ErrorClass::Protocol, evil)
            }),
            output: None,
            metrics: Vec::new(),
            ..executed(1, "plain", Status::Error, evil, Value::Null)
        },
    ];
    let context = SummaryContext {
        test_configuration_name: evil.to_owned(),
        test_set_name: Some(evil.to_owned()),
        endpoint_name: evil.to_owned(),
        project_name: Some(evil.to_owned()),
        ..context()
    };
    (summary_of(&results, context), results)
}
