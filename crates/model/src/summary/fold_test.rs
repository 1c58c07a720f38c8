//! What the fold promises, as tables and properties.

use proptest::prelude::*;
use uuid::Uuid;

use std::collections::BTreeMap;

use super::*;
use crate::recovery::Spent;
use crate::state::{FinalStatus, Status};
use crate::summary::{MAX_USAGE_NAMES, MetricDigest};

fn digest(index: u32, status: Status) -> ResultDigest {
    ResultDigest::new(index, status)
}

fn context() -> SummaryContext {
    SummaryContext {
        test_run_id: RunId::new(Uuid::nil()),
        test_configuration_id: None,
        test_set_id: None,
        execution_mode: ExecutionMode::Parallel,
        started_at: DateTime::from_timestamp_millis(1_000),
        completed_at: DateTime::from_timestamp_millis(84_000),
        stop_reason: None,
        discarded_results: 2,
        gate: Gate::NotEvaluated,
        test_configuration_name: "Chat".to_owned(),
        test_set_name: None,
        endpoint_name: "chat-api".to_owned(),
        project_name: None,
    }
}

fn folded(total: u32, digests: &[ResultDigest]) -> SummaryBuilder {
    let mut builder = SummaryBuilder::new(total);
    for digest in digests {
        builder.add(digest);
    }
    builder
}

#[test]
fn missing_tests_are_errors_and_are_named() {
    let builder = folded(4, &[digest(0, Status::Pass), digest(2, Status::Fail)]);
    assert_eq!(builder.missing().collect::<Vec<_>>(), [1, 3]);
    let summary = builder.finish(context());
    assert_eq!((summary.total_tests, summary.completed_tests), (4, 2));
    assert_eq!((summary.execution_errors, summary.failed_tests), (2, 3));
    assert_eq!(summary.final_status, FinalStatus::Partial);
}

/// F21
#[test]
fn a_run_without_any_result_has_failed() {
    let summary = SummaryBuilder::new(3).finish(context());
    assert_eq!(summary.final_status, FinalStatus::Failed);
    assert_eq!(summary.latency_ms, None);
    assert_eq!(summary.cost, None);
}

#[test]
fn a_second_result_of_a_test_changes_nothing() {
    let mut builder = folded(2, &[digest(0, Status::Pass)]);
    let late = ResultDigest {
        attempts: 5,
        cost: Some(1.0),
        ..digest(0, Status::Error)
    };
    assert_eq!(builder.add(&late), Added::Duplicate);
    let summary = builder.finish(context());
    assert_eq!((summary.tests_passed, summary.retries, summary.cost), (1, 0, None));
}

#[test]
fn a_result_beyond_the_total_is_not_counted() {
    let mut builder = SummaryBuilder::new(2);
    assert_eq!(builder.add(&digest(2, Status::Pass)), Added::OutOfRange);
    assert_eq!(builder.add(&digest(u32::MAX, Status::Pass)), Added::OutOfRange);
    assert_eq!(builder.missing().count(), 2);
}

#[test]
fn times_and_names_come_from_the_context() {
    let summary = folded(1, &[digest(0, Status::Pass)]).finish(context());
    assert_eq!(summary.execution_time, "1m 23s");
    assert!((summary.total_execution_time_ms - 83_000.0).abs() < f64::EPSILON);
    assert_eq!(summary.discarded_results, 2);
    assert_eq!(
        (summary.status, summary.task_state),
        (FinalStatus::Completed, FinalStatus::Completed)
    );
}

#[test]
fn a_clock_that_went_backwards_gives_no_negative_time() {
    let backwards = SummaryContext {
        started_at: DateTime::from_timestamp_millis(2_000),
        completed_at: DateTime::from_timestamp_millis(1_000),
        ..context()
    };
    assert_eq!(SummaryBuilder::new(1).finish(backwards).execution_time, "0ms");
}

#[test]
fn percentiles_keep_three_digits_and_the_maximum_is_exact() {
    let digests: Vec<_> = (1..=1_000u32)
        .map(|n| ResultDigest {
            invoke_time_ms: Some(f64::from(n)),
            ..digest(n - 1, Status::Pass)
        })
        .collect();
    let latency = folded(1_000, &digests).finish(context()).latency_ms.unwrap();
    for (found, expected) in [
        (latency.p50, 500.0),
        (latency.p90, 900.0),
        (latency.p95, 950.0),
        (latency.p99, 990.0),
    ] {
        assert!(
            (found - expected).abs() <= expected * 0.001,
            "{found} is not {expected}"
        );
    }
    assert!((latency.max - 1_000.0).abs() < f64::EPSILON);
}

#[test]
fn times_outside_of_the_histogram_count_as_the_nearest() {
    let digests = [0.0, 1e-9, 7.2e6, f64::NAN, -1.0].map(Some);
    let digests: Vec<_> = (0u32..)
        .zip(digests)
        .map(|(index, invoke_time_ms)| ResultDigest {
            invoke_time_ms,
            ..digest(index, Status::Pass)
        })
        .collect();
    let latency = folded(5, &digests).finish(context()).latency_ms.unwrap();
    assert!((latency.max - 7.2e6).abs() < f64::EPSILON);
    assert!(latency.p50 <= 0.001);
}

#[test]
fn an_endpoint_cannot_grow_the_summary_with_ever_new_names() {
    let digests: Vec<_> = (0..1_000u32)
        .map(|index| ResultDigest {
            usage: BTreeMap::from([(format!("n{index:04}"), 1.0), ("a_tokens".to_owned(), 2.0)]),
            ..digest(index, Status::Pass)
        })
        .collect();
    let forwards = folded(1_000, &digests).finish(context()).usage;
    let backwards: Vec<_> = digests.into_iter().rev().collect();
    assert_eq!(forwards.len(), MAX_USAGE_NAMES);
    assert_eq!(forwards.get("a_tokens"), Some(&2_000.0));
    assert_eq!(folded(1_000, &backwards).finish(context()).usage, forwards);
}

#[test]
fn sums_beyond_the_largest_number_leave_a_summary_that_reads() {
    let digests: Vec<_> = (0..2u32)
        .map(|index| ResultDigest {
            usage: BTreeMap::from([("tokens".to_owned(), f64::MAX)]),
            cost: Some(f64::MAX),
            ..digest(index, Status::Pass)
        })
        .collect();
    let summary = folded(2, &digests).finish(context());
    let stored = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&stored).unwrap(), summary);
    assert!(summary.cost.is_some_and(|cost| cost > 1e308));
}

#[test]
fn parts_of_different_runs_or_with_a_shared_test_are_not_merged() {
    let mut one = folded(200, &[digest(3, Status::Pass), digest(130, Status::Pass)]);
    let before = one.finish(context());
    assert_eq!(
        one.merge(&SummaryBuilder::new(9)),
        Err(MergeRefused::OtherTotal { ours: 200, theirs: 9 })
    );
    let shared = folded(200, &[digest(5, Status::Pass), digest(130, Status::Fail)]);
    assert_eq!(one.merge(&shared), Err(MergeRefused::Overlap { index: 130 }));
    assert_eq!(one.finish(context()), before);
}

fn any_digest(index: u32) -> impl Strategy<Value = ResultDigest> {
    (
        prop::sample::select(Status::ALL),
        0u32..4,
        prop::option::of(0.0..10_000.0),
        prop::collection::btree_map("[a-c]", 0.0..5_000.0, 0..3),
        prop::option::of(0.0..0.5),
        prop::collection::vec(any_metric(), 0..3),
    )
        .prop_map(
            move |(status, attempts, invoke_time_ms, usage, cost, metrics)| ResultDigest {
                index,
                status,
                attempts,
                invoke_time_ms,
                judge_usage: usage
                    .iter()
                    .map(|(name, tokens)| (name.clone(), tokens * 2.0))
                    .collect(),
                judge_cost: cost.map(|cost| cost * 3.0),
                before: cost.map(|cost| Spent {
                    usage: usage.clone(),
                    cost: Some(cost),
                    ..Spent::default()
                }),
                usage,
                cost,
                repetition: None,
                metrics,
            },
        )
}

fn any_metric() -> impl Strategy<Value = MetricDigest> {
    let score = prop::option::of(prop_oneof![Just(0.0), Just(1.0), 0.0..1.0]);
    ("[a-c]", "[xy]", score, prop::option::of(any::<bool>()), any::<bool>()).prop_map(
        |(name, kind, score, is_successful, is_error)| MetricDigest {
            name,
            kind,
            score,
            is_successful,
            is_error,
        },
    )
}

/// Results for some of the tests of a run, in any order, some of them twice.
fn any_results() -> impl Strategy<Value = (u32, Vec<ResultDigest>)> {
    (1u32..150).prop_flat_map(|total| {
        let digests = (0..total).map(any_digest).collect::<Vec<_>>();
        (Just(total), digests.prop_shuffle(), 0..=total as usize).prop_map(|(total, mut digests, kept)| {
            digests.truncate(kept);
            (total, digests)
        })
    })
}

/// Equal, sums of fractions up to the last digit kept.
fn assert_same(mut left: Summary, mut right: Summary) {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(1.0);
    assert_eq!(
        left.usage.keys().collect::<Vec<_>>(),
        right.usage.keys().collect::<Vec<_>>()
    );
    assert!(
        left.usage
            .values()
            .zip(right.usage.values())
            .all(|(a, b)| close(*a, *b))
    );
    assert_eq!(left.cost.is_some(), right.cost.is_some());
    assert!(close(left.cost.unwrap_or(0.0), right.cost.unwrap_or(0.0)));
    let scores = |summary: &Summary| -> Vec<f64> {
        let all = summary.metrics.values().filter_map(|metric| metric.score);
        all.map(|score| score.mean).collect()
    };
    assert!(scores(&left).iter().zip(scores(&right)).all(|(a, b)| close(*a, b)));
    for summary in [&mut left, &mut right] {
        summary.usage.clear();
        summary.cost = None;
        for score in summary.metrics.values_mut().filter_map(|metric| metric.score.as_mut()) {
            score.mean = 0.0;
        }
    }
    assert_eq!(left, right);
}

proptest! {
    /// F21
    #[test]
    fn counts_add_up_to_the_expected_total((total, digests) in any_results()) {
        let mut builder = folded(total, &digests);
        for twice in &digests {
            prop_assert_eq!(builder.add(twice), Added::Duplicate);
        }
        let summary = builder.finish(context());
        prop_assert_eq!(
            summary.tests_passed + summary.tests_failed + summary.tests_inconclusive + summary.execution_errors
                + summary.tests_cancelled + summary.tests_not_run + summary.tests_skipped,
            total
        );
        prop_assert_eq!(summary.total_tests, total);
        prop_assert_eq!(summary.completed_tests as usize, digests.len());
        prop_assert_eq!(builder.missing().count(), total as usize - digests.len());
        prop_assert_eq!(summary.failed_tests, summary.tests_failed + summary.execution_errors);
    }

    #[test]
    fn the_order_of_results_does_not_matter(
        (total, digests, shuffled) in any_results()
            .prop_flat_map(|(total, digests)| (Just(total), Just(digests.clone()), Just(digests).prop_shuffle()))
    ) {
        assert_same(folded(total, &digests).finish(context()), folded(total, &shuffled).finish(context()));
    }

    #[test]
    fn merging_parts_is_adding_everything((total, digests) in any_results(), at in 0usize..150) {
        let (left, right) = digests.split_at(at.min(digests.len()));
        let mut merged = folded(total, left);
        merged.merge(&folded(total, right)).unwrap();
        assert_same(merged.finish(context()), folded(total, &digests).finish(context()));
        prop_assert_eq!(
            merged.missing().collect::<Vec<_>>(),
            folded(total, &digests).missing().collect::<Vec<_>>()
        );
    }
}
