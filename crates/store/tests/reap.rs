//! `reap.lua`.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_store::{ControlJob, Reaped, Retry, Settled};

use crate::support::{Bench, Spec, WORKER_LEASE, cost, id, tests_of};

const NOTHING: Reaped = Reaped::Reaped {
    workers: 0,
    jobs: 0,
    more: false,
};

/// F31
#[tokio::test]
async fn nothing_is_taken_from_workers_that_renew() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 2).await;
    bench.reaper_ticks().await;
    let before = bench.look().await;
    assert_eq!(bench.store.reap(WORKER_LEASE).await.unwrap(), NOTHING);
    assert_eq!(bench.look().await, before);
}

/// OUTAGE-GRACE: a server that has just been restarted may have lost the newest renewals, however short it was away.
#[tokio::test]
async fn a_server_that_is_another_process_than_before_is_given_a_whole_lease() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 1).await;
    bench.reaper_ticks().await;
    let () = bench.ask(&["HSET", &bench.key("reaper"), "server", "0123abcd"]).await;
    bench.expire_worker("w1").await;
    for _ in 0..2 {
        let Reaped::Waiting { left } = bench.store.reap(WORKER_LEASE).await.unwrap() else {
            panic!("reaped at once");
        };
        assert!(left <= WORKER_LEASE);
    }
    let () = bench.ask(&["HSET", &bench.key("reaper"), "grace_until", "0"]).await;
    assert!(matches!(
        bench.store.reap(WORKER_LEASE).await.unwrap(),
        Reaped::Reaped {
            workers: 1,
            jobs: 1,
            ..
        }
    ));
}

/// OUTAGE-GRACE
#[tokio::test]
async fn the_first_tick_and_one_after_a_gap_wait_a_whole_lease() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.expire_worker("w1").await;
    for tick in [None, Some(WORKER_LEASE.mul_f64(0.51))] {
        if let Some(gap) = tick {
            let then = bench.store.now_ms().await.unwrap() - i64::try_from(gap.as_millis()).unwrap();
            let () = bench
                .ask(&[
                    "HSET",
                    &bench.key("reaper"),
                    "tick",
                    &then.to_string(),
                    "grace_until",
                    "0",
                ])
                .await;
        }
        let Reaped::Waiting { left } = bench.store.reap(WORKER_LEASE).await.unwrap() else {
            panic!("reaped after a gap");
        };
        assert_eq!(left, WORKER_LEASE);
        assert!(matches!(
            bench.store.reap(WORKER_LEASE).await.unwrap(),
            Reaped::Waiting { .. }
        ));
    }
    assert_eq!(
        bench.complete(&seat, &held).await,
        [Settled::Stored],
        "it did nothing wrong"
    );
}

#[tokio::test]
async fn reaping_goes_on_when_the_grace_is_over() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 1).await;
    bench.expire_worker("w1").await;
    bench.store.reap(WORKER_LEASE).await.unwrap();
    let () = bench.ask(&["HSET", &bench.key("reaper"), "grace_until", "1"]).await;
    assert_eq!(
        bench.store.reap(WORKER_LEASE).await.unwrap(),
        Reaped::Reaped {
            workers: 1,
            jobs: 1,
            more: false
        }
    );
}

/// F10, F61
#[tokio::test]
async fn all_that_a_lost_worker_held_goes_back_and_the_worker_is_forgotten() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2).limit(2)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 2).await;
    bench.expire_worker("w1").await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench.reaper_ticks().await;
    let before = bench.look().await;
    assert_eq!(
        bench.store.reap(WORKER_LEASE).await.unwrap(),
        Reaped::Reaped {
            workers: 1,
            jobs: 2,
            more: false
        }
    );
    let mut changed = bench.since(&before).await;
    changed["run:R1:again"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(ToString::to_string);
    assert_eq!(
        changed,
        json!({
            "bell": ["1"],
            "endpoint:api:default:waiting": {"zset": [["R1", 2 * cost()]]},
            "endpoint:api:slots": null,
            "endpoint:api:tenants": {"zset": [["default", 2 * cost()]]},
            "leases": null,
            "ready:endpoints": {"zset": [["api", 2 * cost()]]},
            "run:R1:again": ["0", "1"],
            "run:R1:owners": null,
            "run:R1:tries": {"0": "1|1|T|T", "1": "1|1|T|T"},
            "worker:w1": null,
            "worker:w1:jobs": null,
            "workers": null,
        })
    );
    let before = bench.look().await;
    assert_eq!(bench.reap().await, NOTHING);
    assert_eq!(bench.look().await, before);
}

/// F80, ATTEMPTS-BOUNDED: the next holder is told how many workers it has cost.
#[tokio::test]
async fn every_lost_worker_is_counted() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    for lost in 0..5 {
        let worker = format!("w{lost}");
        let test = bench.claim_one(&bench.seat(&worker).await).await;
        assert_eq!((test.attempt, test.lost), (lost + 1, lost));
        bench.expire_worker(&worker).await;
        bench.reap().await;
    }
}

/// F25, F33, F35: a job past its own hard deadline is taken even from a worker that lives, and only that one.
#[tokio::test]
async fn a_job_past_its_hard_deadline_is_taken_from_a_living_worker() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 2).await;
    bench.expire_job(&format!("{}/1", id(1))).await;
    assert_eq!(
        bench.reap().await,
        Reaped::Reaped {
            workers: 0,
            jobs: 1,
            more: false
        }
    );
    assert_eq!(bench.complete(&seat, &held).await, [Settled::Stored, Settled::Lost]);
    assert_eq!(tests_of(&bench.claim(&seat, 5).await), [(1, 1)]);
}

/// F31: an entry of the dead worker for a job that another holds by now.
#[tokio::test]
async fn leftovers_of_a_lost_worker_take_nothing_from_the_living() {
    let bench = Bench::start().await;
    let cancelled = bench.run(Spec::parallel(2, 1)).await;
    bench.store.cancel(cancelled).await.unwrap();
    bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w2").await;
    let test = bench.claim_one(&seat).await;
    let control = bench.claim_control(&seat).await;
    bench.reaper_ticks().await;
    let before = bench.look().await;
    bench.seat("w1").await;
    let jobs = bench.key("worker:w1:jobs");
    let (held, nobodys, gone) = (format!("{}/0", id(1)), format!("{}/1", id(1)), format!("{}/0", id(9)));
    let () = bench
        .ask(&[
            "SADD",
            &jobs,
            &held,
            &nobodys,
            &gone,
            &control.job.to_string(),
            "nonsense",
        ])
        .await;
    bench.expire_worker("w1").await;
    bench.store.reap(WORKER_LEASE).await.unwrap();
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    let mut before = before;
    before.as_object_mut().unwrap().remove("bell");
    assert_eq!(bench.look().await, before);
    assert_eq!(bench.complete(&seat, &[test]).await, [Settled::Stored]);
}

#[tokio::test]
async fn a_lease_that_belongs_to_nobody_is_removed() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let before = bench.look().await;
    for job in [
        format!("{}/0", id(1)),
        format!("{}/0", id(9)),
        format!("collect:{}", id(9)),
        "nonsense".into(),
    ] {
        let () = bench.ask(&["ZADD", &bench.key("leases"), "1", &job]).await;
    }
    bench.reap().await;
    assert_eq!(bench.since(&before).await.get("leases"), None);
    assert_eq!(bench.look().await["leases"], Value::Null);
}

/// F32: the lease is lost, the worker too; its own list of jobs still brings the test back.
#[tokio::test]
async fn a_job_without_lease_comes_back_with_its_worker() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 1).await;
    let () = bench.ask(&["DEL", &bench.key("leases")]).await;
    bench.expire_worker("w1").await;
    bench.reap().await;
    assert_eq!(bench.claim_one(&bench.seat("w2").await).await.index, 0);
}

/// F32: the other way round.
#[tokio::test]
async fn a_job_missing_from_its_workers_list_comes_back_by_its_hard_deadline() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 1).await;
    let () = bench
        .ask(&["DEL", &bench.key("worker:w1:jobs"), &bench.key("workers")])
        .await;
    bench.expire_job(&format!("{}/0", id(1))).await;
    bench.reap().await;
    assert_eq!(bench.claim_one(&bench.seat("w2").await).await.index, 0);
}

/// F32: who holds what is lost. Results of the old holders are too late, but every test is run again.
#[tokio::test]
async fn jobs_without_owner_go_back_to_the_queue_once() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 5).limit(4)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 4).await;
    bench.complete(&seat, &held[..1]).await;
    let delay = Duration::from_secs(3600);
    let retry = Retry {
        run,
        index: 1,
        fence: held[1].fence,
        delay,
        feedback: testfleet_store::Feedback::default(),
    };
    bench.store.retry(&seat, &[retry]).await.unwrap();
    let () = bench.ask(&["DEL", &bench.store.keys().run_part(run, "owners")]).await;
    // Leases of every kind: done, delayed, lost, and one that was never claimed.
    for index in 0..5 {
        let () = bench
            .ask(&["ZADD", &bench.key("leases"), "1", &format!("{run}/{index}")])
            .await;
    }
    bench.expire_worker("w1").await;
    bench.reap().await;
    bench.reap().await;
    let look = bench.look().await;
    assert_eq!(
        (&look["endpoint:api:slots"], &look["leases"]),
        (&Value::Null, &Value::Null)
    );
    let mut again = tests_of(&bench.claim(&bench.seat("w2").await, 9).await);
    again.sort_unstable();
    assert_eq!(again, [(1, 2), (1, 3), (1, 4)]);
}

/// F27: completed just before.
#[tokio::test]
async fn a_test_that_was_completed_meanwhile_is_not_run_again() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 2).await;
    bench.complete(&seat, &held[..1]).await;
    bench.expire_worker("w1").await;
    bench.reap().await;
    assert_eq!(tests_of(&bench.claim(&bench.seat("w2").await, 9).await), [(1, 1)]);
}

/// F28, F55: page after page until all are taken.
#[tokio::test]
async fn thousands_of_jobs_of_lost_workers_are_taken_in_bounded_steps() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1_000).cap(10_000)).await;
    let seat = bench.seat("w1").await;
    for _ in 0..4 {
        bench.claim(&seat, 256).await;
    }
    bench.expire_worker("w1").await;
    let mut taken = 0;
    let mut ticks = 0;
    loop {
        let Reaped::Reaped { jobs, more, .. } = bench.reap().await else {
            panic!("no gap")
        };
        assert!(jobs <= 300);
        taken += jobs;
        ticks += 1;
        if !more {
            break;
        }
    }
    assert_eq!((taken, ticks), (1_000, 4));
    assert_eq!(bench.look().await["workers"], Value::Null);
}

#[tokio::test]
async fn a_collection_whose_worker_died_is_queued_again_and_counts_as_tried() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(run).await.unwrap();
    bench.claim_control(&bench.seat("w1").await).await;
    bench.expire_worker("w1").await;
    bench.reap().await;
    let again = bench.claim_control(&bench.seat("w2").await).await;
    assert_eq!((again.job, again.attempt), (ControlJob::Collect(run), 2));
}

#[tokio::test]
async fn a_collection_past_its_deadline_is_taken_from_a_living_worker() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(run).await.unwrap();
    let slow = bench.seat("w1").await;
    let old = bench.claim_control(&slow).await;
    bench.expire_job(&old.job.to_string()).await;
    bench.reap().await;
    let seat = bench.seat("w2").await;
    let new = bench.claim_control(&seat).await;
    assert_eq!(
        bench.fill(&slow, run, old.fence, &[0]).await,
        testfleet_store::Filled::Lost
    );
    bench.fill(&seat, run, new.fence, &[0]).await;
    assert_eq!(
        bench.collect(&slow, run, old.fence, None).await,
        testfleet_store::Collected::Lost
    );
    assert_eq!(
        bench.collect(&seat, run, new.fence, None).await,
        testfleet_store::Collected::Committed
    );
}

/// A closed run gets nothing back into its queue, but all slots are free.
#[tokio::test]
async fn what_a_lost_worker_held_of_a_closed_run_is_only_freed() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 3).limit(1)).await;
    bench.run(Spec::parallel(2, 3).limit(1)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 9).await;
    bench.store.cancel(run).await.unwrap();
    bench.expire_worker("w1").await;
    bench.reap().await;
    let look = bench.look().await;
    assert_eq!(
        (&look["endpoint:api:slots"], &look["run:R1:again"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(bench.claim(&bench.seat("w2").await, 9).await[0].run, id(2));
}

#[tokio::test]
async fn a_sequential_test_that_was_taken_back_goes_before_the_next() {
    let bench = Bench::start().await;
    bench.run(Spec::sequential(1, 3)).await;
    let seat = bench.seat("w1").await;
    let first = bench.claim(&seat, 1).await;
    bench.complete(&seat, &first).await;
    bench.claim(&seat, 1).await;
    bench.expire_worker("w1").await;
    bench.reap().await;
    assert_eq!(tests_of(&bench.claim(&bench.seat("w2").await, 9).await), [(1, 1)]);
}

#[tokio::test]
async fn delayed_tests_are_not_the_reapers() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let fence = bench.claim_one(&seat).await.fence;
    let delay = Duration::from_secs(3600);
    bench
        .store
        .retry(
            &seat,
            &[Retry {
                run,
                index: 0,
                fence,
                delay,
                feedback: testfleet_store::Feedback::default(),
            }],
        )
        .await
        .unwrap();
    bench.expire_worker("w1").await;
    assert_eq!(
        bench.reap().await,
        Reaped::Reaped {
            workers: 1,
            jobs: 0,
            more: false
        }
    );
    assert_eq!(bench.look().await["delayed"]["zset"][0][0], json!("R1/0"));
}

/// TAKEOVER-BOUND: a machine with many workers is lost at once.
#[tokio::test]
async fn many_lost_workers_are_all_found_without_waiting_for_another_tick() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 40)).await;
    for number in 0..40 {
        let seat = bench.seat(&format!("w{number}")).await;
        bench.claim(&seat, 1).await;
        bench.expire_worker(&format!("w{number}")).await;
    }
    bench.reaper_ticks().await;
    let (mut lost, mut looks) = (0, 0);
    loop {
        looks += 1;
        let Reaped::Reaped { workers, more, .. } = bench.store.reap(WORKER_LEASE).await.unwrap() else {
            panic!("reaping waits");
        };
        lost += workers;
        if !more {
            break;
        }
    }
    assert_eq!((lost, looks), (40, 3));
}
