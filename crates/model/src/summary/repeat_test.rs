//! Repetitions put together, by way of the summary.

use super::*;
use crate::configuration::Repetition;
use crate::exit_code::exit_code;
use crate::id::RunId;
use crate::mode::ExecutionMode;
use crate::state::StopReason;
use crate::summary::{Gate, Summary, SummaryBuilder, SummaryContext};
use Status::{Error, Fail, Inconclusive, NotRun, Pass};

fn context() -> SummaryContext {
    SummaryContext {
        test_run_id: RunId::new(uuid::Uuid::nil()),
        test_configuration_id: None,
        test_set_id: None,
        execution_mode: ExecutionMode::Parallel,
        started_at: None,
        completed_at: None,
        stop_reason: None,
        discarded_results: 0,
        gate: Gate::NotEvaluated,
        test_configuration_name: "c".to_owned(),
        test_set_name: None,
        endpoint_name: "e".to_owned(),
        project_name: None,
    }
}

/// Results of repetitions of the test, from the index on.
fn repetitions(test: &str, first: u32, statuses: &[Status]) -> Vec<ResultDigest> {
    let of = u32::try_from(statuses.len()).unwrap();
    (1..)
        .zip(statuses)
        .map(|(number, status)| ResultDigest {
            repetition: Some(Repetition {
                number,
                of,
                test: test.to_owned(),
            }),
            ..once(first + number - 1, *status)
        })
        .collect()
}

fn once(index: u32, status: Status) -> ResultDigest {
    ResultDigest::new(index, status)
}

fn builder(min_pass_rate: f64, total: u32, results: &[ResultDigest]) -> SummaryBuilder {
    let mut builder = SummaryBuilder::new(total);
    builder.set_repeat_policy(RepeatPolicy { min_pass_rate });
    for result in results {
        builder.add(result);
    }
    builder
}

fn summary(min_pass_rate: f64, results: &[ResultDigest]) -> Summary {
    let total = u32::try_from(results.len()).unwrap();
    builder(min_pass_rate, total, results).finish(context())
}

#[test]
fn a_summary_without_repeated_tests_has_no_word_about_them() {
    let summary = summary(0.5, &[once(0, Pass), once(1, Fail)]);
    assert_eq!(summary.repeats, None);
    assert!(!serde_json::to_string(&summary).unwrap().contains("repeat"));
    assert_eq!(
        summary.status_details,
        "1 test passed, 1 test failed, 0 tests had execution errors"
    );
    assert_eq!(exit_code(&summary), 100);
}

#[test]
fn a_test_that_meets_its_pass_rate_is_no_failed_test() {
    let mut results = repetitions("a", 0, &[Pass, Fail, Pass, Error, Pass]);
    results.push(once(5, Pass));
    let summary = summary(0.6, &results);
    // Each repetition is a test of the run, and counted like one.
    assert_eq!(
        (summary.total_tests, summary.tests_passed, summary.tests_failed),
        (6, 4, 1)
    );
    let repeats = summary.repeats.as_ref().unwrap();
    assert_eq!(
        (repeats.tests, repeats.passed, repeats.flaky, repeats.tolerated.total()),
        (1, 1, 1, 2)
    );
    let expected = RepeatedTest {
        test_id: "a".to_owned(),
        passed: 3,
        of: 5,
        pass_rate: 0.6,
        status: Pass,
        flaky: true,
    };
    assert_eq!(repeats.list, [expected]);
    assert_eq!(
        summary.status_details,
        "4 tests passed, 0 tests failed, 0 tests had execution errors, 2 repetitions did not pass and are tolerated; \
         1 of 1 repeated test passed, 1 is flaky"
    );
    assert_eq!(exit_code(&summary), 0);
    let stored = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&stored).unwrap(), summary);
}

#[test]
fn a_test_that_misses_its_pass_rate_fails_with_all_that_failed_of_it() {
    let mut results = repetitions("a", 0, &[Pass, Fail, Fail]);
    results.extend(repetitions("b", 3, &[Pass, Pass]));
    let summary = summary(0.5, &results);
    assert_eq!(
        summary.status_details,
        "3 tests passed, 2 tests failed, 0 tests had execution errors; 1 of 2 repeated tests passed, 1 is flaky"
    );
    assert_eq!(exit_code(&summary), 100);
    assert_eq!(summary.repeats.unwrap().tolerated, Tolerated::default());
}

#[test]
fn the_status_of_a_repeated_test_is_the_worst_that_keeps_it_from_passing() {
    for (statuses, status, flaky, code) in [
        (&[Pass, Pass][..], Pass, false, 0),
        (&[Fail, Error], Fail, false, 100),
        (&[Pass, Error], Error, true, 101),
        (&[Error, Inconclusive], Error, false, 101),
        (&[Pass, Inconclusive], Inconclusive, true, 101),
        (&[Pass, NotRun], NotRun, false, 101),
    ] {
        let summary = summary(1.0, &repetitions("a", 0, statuses));
        assert_eq!(exit_code(&summary), code, "{statuses:?}");
        let [told] = summary.repeats.unwrap().list.try_into().unwrap();
        assert_eq!((told.status, told.flaky), (status, flaky), "{statuses:?}");
    }
}

#[test]
fn what_never_ran_is_not_tolerated() {
    let results = repetitions("a", 0, &[Pass, Fail, NotRun]);
    let mut context = context();
    context.stop_reason = Some(StopReason::FailFast);
    let summary = builder(0.3, 3, &results).finish(context);
    assert_eq!(summary.repeats.as_ref().unwrap().passed, 1);
    assert_eq!(exit_code(&summary), 101);
}

#[test]
fn a_repetition_without_a_result_is_one_in_error() {
    let results = repetitions("a", 0, &[Pass, Pass, Pass]);
    let [told] = builder(1.0, 3, &results[..2])
        .finish(context())
        .repeats
        .unwrap()
        .list
        .try_into()
        .unwrap();
    assert_eq!((told.passed, told.of, told.status, told.flaky), (2, 3, Error, true));
}

#[test]
fn parts_and_orders_give_the_same_and_a_repeated_result_counts_once() {
    let mut results = repetitions("a", 0, &[Pass, Fail, Pass]);
    results.extend(repetitions("b", 3, &[Fail, Fail]));
    let whole = summary(0.6, &results);
    let mut backwards: Vec<ResultDigest> = results.iter().rev().cloned().collect();
    backwards.push(results[1].clone());
    let backwards = builder(0.6, 5, &backwards).finish(context());
    assert_eq!(backwards.repeats, whole.repeats);
    for cut in 0..=results.len() {
        let mut merged = builder(0.6, 5, &results[..cut]);
        merged.merge(&builder(0.6, 5, &results[cut..])).unwrap();
        assert_eq!(merged.finish(context()).repeats, whole.repeats, "{cut}");
    }
}

#[test]
fn the_list_is_bounded_and_begins_with_what_did_not_pass() {
    let mut results = Vec::new();
    for test in 0..300 {
        let statuses = match test {
            299 => [Fail, Fail],
            150 => [Pass, Fail],
            _ => [Pass, Pass],
        };
        results.extend(repetitions(&format!("t{test}"), test * 2, &statuses));
    }
    let repeats = summary(0.5, &results).repeats.unwrap();
    assert_eq!((repeats.tests, repeats.passed, repeats.flaky), (300, 299, 1));
    assert_eq!(repeats.list.len(), MAX_LISTED_REPEATS);
    let first: Vec<&str> = repeats.list.iter().take(3).map(|test| test.test_id.as_str()).collect();
    assert_eq!(first, ["t299", "t150", "t0"]);
    let result = |test: &str, status| TestResult {
        repetition: Some(Repetition {
            number: 2,
            of: 2,
            test: test.to_owned(),
        }),
        ..TestResult::without_execution(format!("{test}#2"), 0, status, None)
    };
    assert!(repeats.tolerates(&result("t150", Fail)) && !repeats.tolerates(&result("t299", Fail)));
    assert!(!repeats.tolerates(&result("t150", NotRun)) && !repeats.tolerates(&result("t0", Pass)));
    // Not listed: all that did not pass are, so it did.
    assert!(repeats.tolerates(&result("t298", Error)));
}
