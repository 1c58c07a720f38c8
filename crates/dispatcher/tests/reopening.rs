//! Trying tests of an ended run again.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{configuration, limits, run_id, submission, test};
use testfleet_dispatcher::{RetryError, Selection, count_retriable, dispatch, retry_run};
use testfleet_model::{RunId, RunState, Status};
use testfleet_store::{ClaimAnswer, Completion, Reopening, Seat, Store, StoreOptions, Want, WorkerInfo};
use testfleet_testkit::TestRedis;

const HOUR: Duration = Duration::from_secs(3600);

struct Ended {
    _redis: TestRedis,
    store: Store,
    seat: Seat,
    run: RunId,
}

/// A run of `count` tests that has ended: every third passed, every third failed, the others are in error.
async fn ended(count: usize) -> Ended {
    let redis = TestRedis::start();
    let store = Store::new(&StoreOptions::new(redis.url())).unwrap();
    let mut configuration = configuration();
    configuration.attributes.batch_concurrency = 2_000;
    configuration.endpoint.limits.max_concurrency = Some(2_000);
    let run = run_id(1);
    let tests = (0..count).map(|index| Ok::<_, std::convert::Infallible>(test(index)));
    dispatch(&store, submission(run, &configuration), tests).await.unwrap();
    let (seat, _) = store.register("w1", HOUR, &WorkerInfo::default()).await.unwrap();
    let ended = Ended {
        _redis: redis,
        store,
        seat,
        run,
    };
    ended
        .work(|index| [Status::Pass, Status::Fail, Status::Error][index as usize % 3])
        .await;
    ended
}

impl Ended {
    /// Gives every test that can be claimed a result, and collects.
    async fn work(&self, status: impl Fn(u32) -> Status) -> usize {
        let mut done = 0;
        loop {
            let want = Want { tests: 256, control: 0 };
            let ClaimAnswer::Claimed(claimed) = self.store.claim(&self.seat, want).await.unwrap() else {
                panic!("not registered")
            };
            if claimed.tests.is_empty() {
                break;
            }
            let completions: Vec<Completion> = claimed
                .tests
                .iter()
                .map(|claimed| Completion {
                    run: claimed.run,
                    index: claimed.index,
                    fence: claimed.fence,
                    status: status(claimed.index),
                    result: json!({"test_id": format!("t{}", claimed.index), "status": status(claimed.index).word()})
                        .to_string()
                        .into_bytes(),
                    captured: String::new(),
                    give_up: String::new(),
                    feedback: testfleet_store::Feedback::default(),
                })
                .collect();
            self.store
                .complete(&self.seat, &completions, Want::default())
                .await
                .unwrap();
            done += completions.len();
        }
        let ClaimAnswer::Claimed(claimed) = self
            .store
            .claim(&self.seat, Want { tests: 0, control: 1 })
            .await
            .unwrap()
        else {
            panic!("not registered")
        };
        self.store
            .collect(
                &self.seat,
                self.run,
                claimed.control[0].fence,
                RunState::Partial,
                "{}",
                None,
                HOUR,
            )
            .await
            .unwrap();
        done
    }

    async fn retry(&self, selection: &Selection) -> Result<(u32, u32), RetryError> {
        let retried = retry_run(&self.store, self.run, selection, limits()).await?;
        assert_eq!(retried.run, self.run);
        Ok((retried.epoch, retried.tests))
    }
}

/// F14
#[tokio::test]
async fn failed_tests_and_errors_are_tried_again_and_the_run_ends_once_more() {
    let ended = ended(9).await;
    let failed = Selection::failed_and_errors();
    assert_eq!(count_retriable(&ended.store, ended.run, &failed).await.unwrap(), 6);
    assert_eq!(ended.retry(&failed).await.unwrap(), (2, 6));
    let again = ended.retry(&failed).await.unwrap_err();
    assert!(
        matches!(
            again,
            RetryError::NotEnded {
                state: RunState::Queued,
                ..
            }
        ),
        "{again}"
    );
    assert_eq!(ended.work(|_| Status::Pass).await, 6);
    let view = ended.store.run_view(ended.run).await.unwrap().unwrap();
    assert_eq!(
        (view.epoch, view.counts.get("Pass"), view.counts.len()),
        (2, Some(&9), 1)
    );
    let nothing = ended.retry(&failed).await.unwrap_err();
    assert!(matches!(nothing, RetryError::Nothing { selected: 0, .. }), "{nothing}");
}

/// More than one call of the store takes.
#[tokio::test]
async fn a_large_run_is_reopened_in_chunks() {
    let ended = ended(3_000).await;
    assert_eq!(ended.retry(&Selection::failed_and_errors()).await.unwrap(), (2, 2_000));
    assert_eq!(ended.work(|_| Status::Pass).await, 2_000);
}

#[tokio::test]
async fn a_selection_is_by_status_id_and_place() {
    let ended = ended(9).await;
    let by_id = Selection {
        test_ids: vec!["t1".to_owned(), "t2".to_owned(), "t3".to_owned()],
        ..Selection::failed_and_errors()
    };
    assert_eq!(
        count_retriable(&ended.store, ended.run, &by_id).await.unwrap(),
        2,
        "t3 passed"
    );
    let by_place = Selection {
        statuses: vec![Status::Error],
        indices: vec![1, 2],
        ..Selection::default()
    };
    assert_eq!(ended.retry(&by_place).await.unwrap(), (2, 1));
}

#[tokio::test]
async fn what_is_not_there_is_named_and_nothing_changes() {
    let ended = ended(3).await;
    let named = Selection {
        test_ids: vec!["t9".to_owned()],
        ..Selection::failed_and_errors()
    };
    let error = ended.retry(&named).await.unwrap_err();
    assert!(error.to_string().ends_with("has no test \"t9\""), "{error}");
    let placed = Selection {
        indices: vec![3],
        ..Selection::failed_and_errors()
    };
    let error = ended.retry(&placed).await.unwrap_err();
    assert!(error.to_string().contains("has no test 3"), "{error}");
    let passed = Selection {
        statuses: vec![Status::Pass, Status::Skipped],
        ..Selection::default()
    };
    let error = ended.retry(&passed).await.unwrap_err();
    assert!(matches!(error, RetryError::Nothing { .. }), "{error}");
    let unknown = retry_run(&ended.store, run_id(2), &named, limits()).await.unwrap_err();
    assert!(matches!(unknown, RetryError::Unknown { .. }), "{unknown}");
    let view = ended.store.run_view(ended.run).await.unwrap().unwrap();
    assert_eq!((view.state, view.epoch), (RunState::Partial, 1));
}

/// Whoever began it died.
#[tokio::test]
async fn a_run_that_is_half_reopened_is_opened_by_the_next_who_asks() {
    let ended = ended(9).await;
    let begun = Reopening {
        run: ended.run,
        epoch: 2,
        deadline: HOUR,
        limits: testfleet_model::configuration::Limits::default(),
        staging_timeout: HOUR,
    };
    ended.store.reopen(&begun, &[(1, Status::Fail)], false).await.unwrap();
    assert_eq!(ended.retry(&Selection::failed_and_errors()).await.unwrap(), (2, 6));
    assert_eq!(ended.work(|_| Status::Pass).await, 6);
}

/// Somebody else chooses other tests at the same time: whoever comes second is told so.
#[tokio::test]
async fn whoever_is_overtaken_is_told_so() {
    let ended = ended(9).await;
    let others = Reopening {
        run: ended.run,
        epoch: 2,
        deadline: HOUR,
        limits: testfleet_model::configuration::Limits::default(),
        staging_timeout: HOUR,
    };
    let opened = ended.store.reopen(&others, &[(1, Status::Fail)], true).await.unwrap();
    assert_eq!(opened, testfleet_store::Reopened::Opened { left: 1 });
    // As it is for one that has read the run before that.
    let late = ended.store.reopen(&others, &[(2, Status::Error)], true).await.unwrap();
    assert_eq!(late, testfleet_store::Reopened::Already(RunState::Queued));
    assert_eq!(ended.work(|_| Status::Pass).await, 1);
}

#[tokio::test]
async fn a_run_that_never_began_is_not_tried_again() {
    let redis = TestRedis::start();
    let store = Store::new(&StoreOptions::new(redis.url())).unwrap();
    let run = run_id(1);
    let new = testfleet_store::NewRun {
        id: run,
        configuration: "{}",
        name: "never",
        configuration_id: None,
        mode: testfleet_model::ExecutionMode::Parallel,
        endpoint: "api",
        cap: 1,
        lease: HOUR,
        staging_timeout: HOUR,
        idempotency: None,
        policy: testfleet_store::RunPolicy::default(),
    };
    store.create(&new).await.unwrap();
    let preparing = retry_run(&store, run, &Selection::failed_and_errors(), limits())
        .await
        .unwrap_err();
    assert!(matches!(preparing, RetryError::NotEnded { .. }), "{preparing}");
    store.cancel(run).await.unwrap();
    for error in [
        retry_run(&store, run, &Selection::failed_and_errors(), limits())
            .await
            .unwrap_err(),
        count_retriable(&store, run, &Selection::failed_and_errors())
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, RetryError::NeverBegan { .. }), "{error}");
    }
}
