//! Runs held against each other: what counts as a change, and in which order it is told.

use proptest::prelude::*;

use super::*;

fn once(status: Status) -> TestOutcome {
    repeated(status, u32::from(status == Status::Pass), 1)
}

fn repeated(status: Status, passed: u32, executed: u32) -> TestOutcome {
    TestOutcome {
        status,
        passed,
        executed,
        latency_ms: None,
        scores: Vec::new(),
    }
}

fn outcomes(tests: &[(&str, TestOutcome)]) -> Outcomes {
    Outcomes {
        metrics: vec![
            ("tone".to_owned(), "llm-rubric".to_owned()),
            ("distance".to_owned(), "levenshtein".to_owned()),
            ("words".to_owned(), "word-count".to_owned()),
        ],
        tests: tests
            .iter()
            .map(|(id, test)| ((*id).to_owned(), test.clone()))
            .collect(),
    }
}

fn compared(before: &[(&str, TestOutcome)], after: &[(&str, TestOutcome)]) -> Comparison {
    compare(&outcomes(before), &outcomes(after), &ComparisonRules::default(), 100)
}

fn listed(comparison: &Comparison) -> Vec<(&str, ChangeKind)> {
    comparison
        .listed
        .iter()
        .map(|change| (change.test_id.as_str(), change.change))
        .collect()
}

use Status::{Cancelled, Error, Fail, Inconclusive, NotRun, Pass, Skipped};

#[test]
fn passing_is_better_than_everything_else_and_the_rest_is_the_same() {
    let before = [
        ("a", once(Pass)),
        ("b", once(Fail)),
        ("c", once(Fail)),
        ("d", once(Pass)),
        ("gone", once(Pass)),
    ];
    let after = [
        ("a", once(Error)),
        ("b", once(Pass)),
        ("c", once(Inconclusive)),
        ("d", once(Pass)),
        ("here", once(Fail)),
    ];
    let comparison = compared(&before, &after);
    assert_eq!(
        (comparison.regressed, comparison.improved, comparison.unchanged),
        (1, 1, 2)
    );
    assert_eq!((comparison.new, comparison.removed, comparison.not_compared), (1, 1, 0));
    assert_eq!((comparison.passed_before, comparison.passed_after), (2, 2));
    let order = [
        ("a", ChangeKind::Regressed),
        ("b", ChangeKind::Improved),
        ("gone", ChangeKind::Removed),
        ("here", ChangeKind::New),
    ];
    assert_eq!(listed(&comparison), order);
    assert!(!comparison.significant && (comparison.p_value - 1.0).abs() < 1e-12);
    let stored = serde_json::to_string(&comparison).unwrap();
    assert_eq!(serde_json::from_str::<Comparison>(&stored).unwrap(), comparison);
}

#[test]
fn a_test_that_never_came_to_anything_is_not_compared() {
    for status in [Cancelled, NotRun, Skipped] {
        let nothing = repeated(status, 0, 0);
        for (then, now) in [(once(Pass), nothing.clone()), (nothing, once(Fail))] {
            let comparison = compared(&[("a", then)], &[("a", now)]);
            assert_eq!((comparison.not_compared, comparison.compared()), (1, 0));
            assert!(comparison.listed.is_empty());
        }
    }
}

#[test]
fn six_tests_that_all_went_one_way_are_significant_and_five_are_not() {
    for (changed, significant) in [(5, false), (6, true)] {
        let ids: Vec<String> = (0..100).map(|n| format!("t{n:02}")).collect();
        let before: Vec<_> = ids.iter().map(|id| (id.as_str(), once(Pass))).collect();
        let after: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(n, id)| (id.as_str(), once(if n < changed { Fail } else { Pass })))
            .collect();
        let worse = compared(&before, &after);
        let better = compared(&after, &before);
        assert_eq!((worse.significant, better.significant), (significant, significant));
        assert_eq!(
            (worse.is_significantly_worse(), better.is_significantly_worse()),
            (significant, false)
        );
    }
}

#[test]
fn repetitions_decide_by_fisher_where_they_can() {
    for (then, now, change, p_value) in [
        // 5 of 5 → 4 of 5: noise, and the status says otherwise.
        (
            repeated(Pass, 5, 5),
            repeated(Fail, 4, 5),
            Some(ChangeKind::Uncertain),
            1.0,
        ),
        (
            repeated(Pass, 5, 5),
            repeated(Fail, 0, 5),
            Some(ChangeKind::Regressed),
            0.007_936_507_936_507_936,
        ),
        // Worse for sure, though both fail by their policy.
        (
            repeated(Fail, 18, 20),
            repeated(Fail, 2, 20),
            Some(ChangeKind::Regressed),
            5.295_889_6e-7,
        ),
        (
            repeated(Fail, 0, 5),
            repeated(Pass, 5, 5),
            Some(ChangeKind::Improved),
            0.007_936_507_936_507_936,
        ),
        (repeated(Pass, 4, 5), repeated(Pass, 5, 5), None, 1.0),
        // Three against three can never be significant: the status decides.
        (
            repeated(Pass, 3, 3),
            repeated(Fail, 0, 3),
            Some(ChangeKind::Regressed),
            0.1,
        ),
        (repeated(Pass, 3, 3), repeated(Pass, 2, 3), None, 1.0),
    ] {
        let comparison = compared(&[("a", then.clone())], &[("a", now.clone())]);
        let kinds: Vec<ChangeKind> = comparison.listed.iter().map(|change| change.change).collect();
        assert_eq!(kinds, change.into_iter().collect::<Vec<_>>(), "{then:?} {now:?}");
        if let Some(told) = comparison.listed.first() {
            assert!((told.p_value.unwrap() / p_value - 1.0).abs() < 1e-4, "{told:?}");
        }
    }
}

#[test]
fn scores_and_times_count_only_with_a_tolerance_and_in_their_direction() {
    let scored = |tone: f64, distance: f64, words: f64, ms: f64| TestOutcome {
        latency_ms: Some(ms),
        scores: vec![(0, tone), (1, distance), (2, words)],
        ..once(Pass)
    };
    let before = outcomes(&[("a", scored(0.9, 3.0, 10.0, 100.0))]);
    let told = |after: TestOutcome, score_tolerance, latency_tolerance| {
        let rules = ComparisonRules {
            score_tolerance,
            latency_tolerance,
            ..ComparisonRules::default()
        };
        let comparison = compare(&before, &outcomes(&[("a", after)]), &rules, 100);
        let first = comparison.listed.into_iter().next();
        first.map(|change| (change.change, change.reason.unwrap()))
    };
    assert_eq!(told(scored(0.1, 9.0, 50.0, 900.0), None, None), None);
    assert_eq!(told(scored(0.8, 3.0, 10.0, 100.0), Some(0.1), None), None);
    assert_eq!(
        told(scored(0.7, 3.0, 10.0, 100.0), Some(0.1), None),
        Some((ChangeKind::Regressed, "tone: 0.9 → 0.7".to_owned()))
    );
    assert_eq!(
        told(scored(0.9, 1.0, 99.0, 100.0), Some(0.5), None),
        Some((ChangeKind::Improved, "distance: 3 → 1".to_owned()))
    );
    assert_eq!(
        told(scored(1.0, 3.0, 10.0, 160.0), Some(0.05), Some(0.5)),
        Some((ChangeKind::Regressed, "latency: 100 ms → 160 ms".to_owned()))
    );
    assert_eq!(told(scored(0.9, 3.0, 10.0, 150.0), None, Some(0.5)), None);
    assert_eq!(
        told(scored(0.9, 3.0, 10.0, 60.0), None, Some(0.5)),
        Some((ChangeKind::Improved, "latency: 100 ms → 60 ms".to_owned()))
    );
    let comparison = compare(
        &before,
        &outcomes(&[("a", scored(0.7, 5.0, 10.0, 50.0))]),
        &ComparisonRules::default(),
        9,
    );
    let tone = comparison.scores["tone"];
    assert_eq!(
        (tone.tests, tone.mean_before, tone.mean_after, tone.fell, tone.rose),
        (1, 0.9, 0.7, 1, 0)
    );
    assert_eq!(comparison.latency_ms.unwrap().fell, 1);
}

#[test]
fn metrics_are_paired_by_name_and_type_wherever_they_stand() {
    let mut before = outcomes(&[(
        "a",
        TestOutcome {
            scores: vec![(0, 0.5)],
            ..once(Pass)
        },
    )]);
    let mut after = before.clone();
    after.metrics.reverse();
    after.tests.get_mut("a").unwrap().scores = vec![(2, 0.25)];
    let tone = compare(&before, &after, &ComparisonRules::default(), 9).scores["tone"];
    assert_eq!((tone.mean_before, tone.mean_after), (0.5, 0.25));
    before.metrics[0].1 = "g-eval".to_owned();
    assert!(
        compare(&before, &after, &ComparisonRules::default(), 9)
            .scores
            .is_empty()
    );
}

#[test]
fn the_list_is_bounded_and_begins_with_what_is_worst() {
    let before: Vec<_> = [
        ("a", repeated(Pass, 20, 20)),
        ("b", repeated(Pass, 20, 20)),
        ("c", once(Fail)),
    ]
    .to_vec();
    let after: Vec<_> = [
        ("a", repeated(Fail, 8, 20)),
        ("b", repeated(Fail, 1, 20)),
        ("c", once(Pass)),
    ]
    .to_vec();
    let comparison = compare(&outcomes(&before), &outcomes(&after), &ComparisonRules::default(), 2);
    assert_eq!(
        listed(&comparison),
        [("b", ChangeKind::Regressed), ("a", ChangeKind::Regressed)]
    );
    assert_eq!((comparison.unlisted, comparison.improved), (1, 1));
}

fn any_outcome() -> impl Strategy<Value = TestOutcome> {
    (prop::sample::select(Status::ALL), 0u32..6)
        .prop_flat_map(|(status, executed)| (0..=executed).prop_map(move |passed| repeated(status, passed, executed)))
}

fn any_outcomes() -> impl Strategy<Value = Outcomes> {
    prop::collection::btree_map("[a-f]", any_outcome(), 0..6).prop_map(|tests| Outcomes {
        metrics: Vec::new(),
        tests,
    })
}

proptest! {
    #[test]
    fn every_test_is_counted_once_and_the_other_way_round_turns_all_round(
        before in any_outcomes(),
        after in any_outcomes(),
    ) {
        let rules = ComparisonRules::default();
        let there = compare(&before, &after, &rules, 100);
        let back = compare(&after, &before, &rules, 100);
        let both = before.tests.keys().filter(|id| after.tests.contains_key(*id)).count();
        prop_assert_eq!((there.compared() + there.not_compared) as usize, both);
        prop_assert_eq!(there.new as usize, after.tests.len() - both);
        prop_assert_eq!((there.improved, there.new, there.unchanged), (back.regressed, back.removed, back.unchanged));
        prop_assert_eq!(there.p_value, back.p_value);
        prop_assert!((0.0..=1.0).contains(&there.p_value));
        let listed = there.improved + there.regressed + there.uncertain + there.new + there.removed;
        prop_assert_eq!(there.listed.len(), listed as usize);
    }

    #[test]
    fn a_run_is_the_same_as_itself(run in any_outcomes()) {
        let same = compare(&run, &run, &ComparisonRules::default(), 100);
        prop_assert!(same.listed.is_empty() && same.improved + same.regressed + same.new + same.removed == 0);
    }
}
