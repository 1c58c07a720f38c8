//! Dependencies, groups, repetitions, order and policies of a submission, as workers meet them.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use support::{configuration, configuration_in, impatient, keyed, run_id, store, stream, submission};
use testfleet_dispatcher::modes::{SetModeError, set_execution_mode};
use testfleet_dispatcher::{DispatchError, Refusal, dispatch, dispatch_with, put_configuration, survey};
use testfleet_model::configuration::{Attributes, Budget, Group, Order, Priority, Repetition, TestCase};
use testfleet_model::{ExecutionMode, RunState, Status, TestConfiguration};
use testfleet_store::{ClaimAnswer, ClaimedTest, Completion, Feedback, Seat, Store, Want, WorkerInfo};
use testfleet_testkit::TestRedis;

const HOUR: Duration = Duration::from_secs(3600);

fn with(change: impl FnOnce(&mut Attributes)) -> TestConfiguration {
    let mut configuration = configuration();
    change(&mut configuration.attributes);
    configuration
}

fn test(id: &str, depends_on: &[&str]) -> TestCase {
    TestCase {
        id: id.to_owned(),
        input: Some("x".to_owned()),
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        ..TestCase::default()
    }
}

fn repeated(times: u32, test: TestCase) -> TestCase {
    TestCase {
        repeat: Some(times),
        ..test
    }
}

/// A run that was dispatched, and a worker for it.
struct Fleet {
    redis: TestRedis,
    store: Store,
    seat: Seat,
}

impl Fleet {
    async fn of(configuration: &TestConfiguration, tests: &[TestCase]) -> Self {
        let redis = TestRedis::start();
        let store = store(&redis);
        dispatch(&store, submission(run_id(1), configuration), stream(tests))
            .await
            .unwrap();
        Self::at(redis, store).await
    }

    async fn at(redis: TestRedis, store: Store) -> Self {
        let (seat, _) = store.register("w1", HOUR, &WorkerInfo::default()).await.unwrap();
        Self { redis, store, seat }
    }

    /// Up to so many tests that can be claimed now.
    async fn claim(&self, tests: usize) -> Vec<ClaimedTest> {
        let want = Want { tests, control: 0 };
        match self.store.claim(&self.seat, want).await.unwrap() {
            ClaimAnswer::Claimed(claimed) => claimed.tests,
            _ => panic!("not registered"),
        }
    }

    async fn complete(&self, claimed: &ClaimedTest, status: Status) {
        let completion = Completion {
            run: claimed.run,
            index: claimed.index,
            fence: claimed.fence,
            status,
            result: b"{}".to_vec(),
            captured: String::new(),
            give_up: String::new(),
            feedback: Feedback::default(),
        };
        self.store
            .complete(&self.seat, &[completion], Want::default())
            .await
            .unwrap();
    }
}

fn id(claimed: &ClaimedTest) -> String {
    TestCase::from_stored(&claimed.payload).unwrap().id
}

fn ids(claimed: &[ClaimedTest]) -> Vec<String> {
    claimed.iter().map(id).collect()
}

#[tokio::test]
async fn a_test_is_given_out_when_those_it_depends_on_have_their_results() {
    let tests = [
        test("use", &["make"]),
        test("make", &[]),
        TestCase {
            always: true,
            ..test("clean", &["use", "other"])
        },
        test("other", &[]),
    ];
    let fleet = Fleet::of(&configuration(), &tests).await;
    let first = fleet.claim(10).await;
    assert_eq!(ids(&first), ["make", "other"]);
    fleet.complete(&first[1], Status::Pass).await;
    assert!(fleet.claim(10).await.is_empty());
    fleet.complete(&first[0], Status::Fail).await;
    let second = fleet.claim(10).await;
    assert_eq!(ids(&second), ["use"]);
    assert_eq!(second[0].unmet, Some(1), "what it depends on did not pass");
    fleet.complete(&second[0], Status::NotRun).await;
    let third = fleet.claim(10).await;
    assert_eq!((ids(&third), third[0].unmet), (vec!["clean".to_owned()], None));
}

#[tokio::test]
async fn tests_of_a_group_share_its_limit_and_others_go_on() {
    let configuration = with(|attributes| {
        attributes.groups = BTreeMap::from([("db".to_owned(), Group { max_concurrency: 1 })]);
    });
    let grouped = |id| TestCase {
        group: Some("db".to_owned()),
        ..test(id, &[])
    };
    let fleet = Fleet::of(
        &configuration,
        &[grouped("a"), grouped("b"), test("c", &[]), grouped("d")],
    )
    .await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.extend(fleet.claim(10).await);
    }
    assert_eq!(ids(&seen), ["a", "c"]);
    fleet.complete(&seen[0], Status::Pass).await;
    assert_eq!(ids(&fleet.claim(10).await), ["b"]);
}

#[tokio::test]
async fn a_repeated_test_is_as_many_tests_of_the_run() {
    let configuration = with(|attributes| attributes.repeat = 2);
    let tests = [
        repeated(3, test("a", &[])),
        test("b", &[]),
        repeated(1, test("c", &["b"])),
    ];
    let redis = TestRedis::start();
    let store = store(&redis);
    let done = dispatch(&store, submission(run_id(1), &configuration), stream(&tests))
        .await
        .unwrap();
    assert_eq!(done.total, 6);
    let stored = store.tests(run_id(1), &[0, 1, 2, 3, 4, 5]).await.unwrap();
    let stored: Vec<TestCase> = stored
        .into_iter()
        .map(|payload| TestCase::from_stored(&payload.unwrap()).unwrap())
        .collect();
    let names: Vec<&str> = stored.iter().map(|test| test.id.as_str()).collect();
    assert_eq!(names, ["a#1", "a#2", "a#3", "b#1", "b#2", "c"]);
    let second = Repetition {
        number: 2,
        of: 3,
        test: "a".to_owned(),
    };
    assert_eq!(
        (stored[1].repetition.as_ref(), &stored[5].repetition),
        (Some(&second), &None)
    );
    let fleet = Fleet::at(redis, store).await;
    let claimed = fleet.claim(10).await;
    assert_eq!(ids(&claimed), ["a#1", "a#2", "a#3", "b#1", "b#2"]);
    fleet.complete(&claimed[3], Status::Pass).await;
    assert!(fleet.claim(10).await.is_empty());
    fleet.complete(&claimed[4], Status::Pass).await;
    assert_eq!(ids(&fleet.claim(10).await), ["c"]);
}

#[tokio::test]
async fn an_idempotency_key_stands_for_repetitions_as_they_are_stored() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let tests = vec![repeated(700, test("a", &[])), test("b", &["a"])];
    let configuration = keyed("k", tests.clone());
    for (number, existing) in [(1, false), (2, true)] {
        let done = dispatch(&store, submission(run_id(number), &configuration), stream(&tests))
            .await
            .unwrap();
        assert_eq!((done.run, done.total, done.existing), (run_id(1), 701, existing));
    }
    let mut options = impatient();
    options.tests = Some(survey(&configuration, 2_000, stream(&tests)).unwrap());
    let other = vec![repeated(699, test("a", &[])), test("b", &["a"])];
    let changed = dispatch_with(
        &store,
        submission(run_id(3), &keyed("other", tests)),
        options,
        stream(&other),
    )
    .await;
    assert!(
        matches!(changed, Err(DispatchError::Refused(Refusal::TestsChanged))),
        "{changed:?}"
    );
}

#[tokio::test]
async fn a_set_that_cannot_be_arranged_is_refused_and_nothing_of_it_is_given_out() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let tests = [test("a", &["b"]), test("b", &["a"]), test("c", &[])];
    let refused = dispatch(&store, submission(run_id(1), &configuration()), stream(&tests))
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "test 0 (counted from 0), depends_on: the tests wait for each other: a → b → a"
    );
    // As every run that was given up before it was acknowledged.
    let view = store.run_view(run_id(1)).await.unwrap().unwrap();
    assert_eq!((view.state, view.total), (RunState::Cancelled, 0));
    let fleet = Fleet::at(redis, store).await;
    assert!(fleet.claim(10).await.is_empty());
}

#[tokio::test]
async fn attributes_that_do_not_go_with_the_mode_are_refused() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = with(|attributes| attributes.stop_on_failure = true);
    let refused = dispatch(&store, submission(run_id(1), &configuration), stream(&[test("a", &[])])).await;
    let Err(DispatchError::Refused(Refusal::Attributes { key, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(key, "attributes.stop_on_failure");
}

#[tokio::test]
async fn a_mode_that_attributes_or_dependencies_do_not_fit_is_not_set() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut stops = configuration_in(ExecutionMode::Sequential);
    stops.attributes.stop_on_failure = true;
    put_configuration(&store, "stops", &stops, None).await.unwrap();
    let refused = set_execution_mode(&store, "stops", ExecutionMode::Parallel)
        .await
        .unwrap_err();
    assert!(matches!(refused, SetModeError::Attributes { .. }), "{refused}");
    let mut later = configuration();
    later.test_set.tests = vec![test("a", &["b"]), test("b", &[])];
    put_configuration(&store, "later", &later, None).await.unwrap();
    let refused = set_execution_mode(&store, "later", ExecutionMode::Sequential)
        .await
        .unwrap_err();
    let SetModeError::Unfit { test, key, .. } = refused else {
        panic!("{refused}")
    };
    assert_eq!((test.as_str(), key.as_str()), ("a", "depends_on[0]"));
}

#[tokio::test]
async fn the_longest_come_first_and_what_nobody_knows_counts_as_the_mean() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let known = [("short", 10), ("long", 3_000), ("middle", 1_500)];
    let recorded = known.map(|(id, ms)| (id.to_owned(), Duration::from_millis(ms)));
    let configuration = with(|attributes| attributes.order = Order::LongestFirst);
    store.record_durations(&configuration.name, &recorded).await.unwrap();
    // The mean is 1503.3 ms.
    let tests = ["short", "new", "middle", "long", "newer"].map(|id| test(id, &[]));
    dispatch(&store, submission(run_id(1), &configuration), stream(&tests))
        .await
        .unwrap();
    let fleet = Fleet::at(redis, store).await;
    assert_eq!(ids(&fleet.claim(10).await), ["long", "new", "newer", "middle", "short"]);
}

#[tokio::test]
async fn without_recorded_durations_the_longest_first_is_the_submitted_order() {
    let configuration = with(|attributes| attributes.order = Order::LongestFirst);
    let fleet = Fleet::of(&configuration, &[test("b", &[]), test("a", &[])]).await;
    assert_eq!(ids(&fleet.claim(10).await), ["b", "a"]);
}

#[tokio::test]
async fn a_run_keeps_whom_it_shares_with_and_when_it_stops() {
    let configuration = with(|attributes| {
        attributes.tenant = Some("team-a".to_owned());
        attributes.priority = Priority::High;
        attributes.fail_fast = Some(2);
        attributes.budget = Budget {
            requests: Some(9),
            tokens: None,
            cost: Some(0.5),
        };
    });
    let fleet = Fleet::of(&configuration, &[test("a", &[])]).await;
    let run = fleet.redis.dump("").await[&fleet.store.keys().run(run_id(1))].clone();
    for (field, value) in [
        ("tenant", "team-a"),
        ("weight", "10.0"),
        ("fail_fast", "2"),
        ("fail_reason", "fail_fast"),
        ("budget_requests", "9"),
        ("budget_cost", "0.5"),
    ] {
        assert_eq!(run[field], value, "{field}");
    }
}

#[tokio::test]
async fn a_sequential_run_stops_on_its_first_failure() {
    let mut configuration = configuration_in(ExecutionMode::Sequential);
    configuration.attributes.stop_on_failure = true;
    let fleet = Fleet::of(&configuration, &[test("a", &[]), test("b", &["a"]), test("c", &[])]).await;
    let first = fleet.claim(10).await;
    assert_eq!(ids(&first), ["a"]);
    fleet.complete(&first[0], Status::Error).await;
    assert!(fleet.claim(10).await.is_empty());
    let view = fleet.store.run_view(run_id(1)).await.unwrap().unwrap();
    assert_eq!(view.stop_reason.as_deref(), Some("stop_on_failure"));
}
