//! A run that is served without standing in line.

use std::time::Duration;

use testfleet_model::Status;
use testfleet_model::configuration::{Limits, Rate};
use testfleet_store::{Activated, ClaimAnswer, Settled, Signal, StoreErrorKind, Want};

use crate::support::bench::limits;
use crate::support::{Bench, Spec, completion, id};

/// F68: nobody else would be told that the rate allows the next test by then.
#[tokio::test]
async fn whoever_waits_for_a_rate_after_a_result_is_told_for_how_long() {
    for spec in [Spec::parallel(1, 3), Spec::sequential(1, 3).cap(1)] {
        let bench = Bench::start().await;
        bench.staged(&spec).await;
        let rate = Rate {
            count: 1,
            per: Duration::from_secs(60),
            burst: Some(1),
        };
        let limited = Limits {
            rate: Some(rate),
            ..limits(None)
        };
        let day = Duration::from_secs(86_400);
        assert_eq!(
            bench.store.activate(id(1), 3, day, &limited).await.unwrap(),
            Activated::Activated
        );
        let seat = bench.seat("w1").await;
        let test = bench.claim_one(&seat).await;
        let () = bench.ask(&["DEL", &bench.key("alarm"), &bench.key("bell")]).await;
        let want = Want { tests: 1, control: 0 };
        let mut result = completion(&test);
        result.feedback.signal = Signal::Accepted;
        let (_, answer) = bench.store.complete(&seat, &[result], want).await.unwrap();
        let ClaimAnswer::Claimed(claimed) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(claimed.tests.len(), 0);
        assert!(claimed.next_due.is_some(), "{claimed:?}");
    }
}

/// What a result leaves in the hash of its run is written with the next claim, and also where no claim comes of it: a key that all runs
/// share is damaged, or the worker may not claim any more.
#[tokio::test]
async fn a_result_is_counted_and_its_values_are_kept_also_when_nothing_can_be_claimed() {
    for damaged in [Some("control"), Some("clock"), None] {
        let bench = Bench::start().await;
        let run = bench.run(Spec::sequential(1, 3)).await;
        let seat = bench.seat("w1").await;
        let test = bench.claim_one(&seat).await;
        let mut result = completion(&test);
        result.captured = r#"{"token":"new"}"#.to_owned();
        match damaged {
            Some("clock") => {
                let () = bench.ask(&["DEL", &bench.key("clock")]).await;
                let _: i64 = bench.ask(&["LPUSH", &bench.key("clock"), "not ours"]).await;
            }
            Some(name) => {
                let () = bench.ask(&["SET", &bench.key(name), "not ours"]).await;
            }
            None => drop(bench.seat("w1").await),
        }
        let want = Want { tests: 1, control: 2 };
        match bench.store.complete(&seat, &[result], want).await {
            Err(error) => assert!(damaged.is_some() && error.kind() == StoreErrorKind::Defect, "{error}"),
            Ok((_, answer)) => assert!(damaged.is_none() && matches!(answer, ClaimAnswer::Stale), "{answer:?}"),
        }
        let hash = bench.store.keys().run(run);
        let kept: Vec<Option<String>> = bench.ask(&["HMGET", &hash, "count:Pass", "captured"]).await;
        assert_eq!(kept, [Some("1".to_owned()), Some(r#"{"token":"new"}"#.to_owned())]);
    }
}

/// A result that cannot be counted is stored all the same; the run is set aside until its count is mended.
#[tokio::test]
async fn results_of_a_run_with_a_count_that_is_no_number_are_not_lost() {
    for (status, count) in [(Status::Pass, "count:Pass"), (Status::Fail, "count:Fail")] {
        let bench = Bench::start().await;
        let run = bench.run(Spec::parallel(1, 3)).await;
        let seat = bench.seat("w1").await;
        let tests = bench.claim(&seat, 2).await;
        let hash = bench.store.keys().run(run);
        let _: i64 = bench.ask(&["HSET", &hash, count, "many"]).await;
        let mut completions: Vec<_> = tests.iter().map(completion).collect();
        completions[1].status = status;
        assert_eq!(bench.settle(&seat, &completions).await, [Settled::Closed; 2]);
        let stored: i64 = bench.ask(&["HLEN", &format!("{hash}:results")]).await;
        let held: i64 = bench.ask(&["HLEN", &format!("{hash}:owners")]).await;
        assert_eq!((stored, held), (2, 0));
        let reason: String = bench
            .ask(&["HGET", &bench.key("quarantine:reasons"), &run.to_string()])
            .await;
        assert_eq!(reason, "a count of it is no number");
    }
}
