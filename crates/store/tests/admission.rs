//! Limits of calls in flight: those that runs bring, those that operators set, and that of the fleet (LIMITS-HOLD).

use serde_json::{Value, json};
use testfleet_model::configuration::Limits;
use testfleet_store::{ControlJob, EndpointSettings, FleetSettings, Setting};

use crate::support::limit::per_age;
use crate::support::{Bench, Spec, completion, tests_of};

fn most(setting: Setting<u32>) -> EndpointSettings {
    EndpointSettings {
        max_concurrency: setting,
        ..EndpointSettings::default()
    }
}

/// F64
#[tokio::test]
async fn what_an_operator_sets_holds_over_what_runs_bring_until_it_is_cleared() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 50).limit(2)).await;
    let seat = bench.seat("w1").await;
    let before = bench.look().await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench.set("api", most(Setting::Set(5))).await;
    assert_eq!(
        bench.since(&before).await,
        json!({
            "endpoint:api:history": ["T||set|max_concurrency 5"],
            "endpoint:api:limits": {"max_concurrency": "5", "set:max_concurrency": "5"},
        })
    );
    assert_eq!(bench.claim(&seat, 50).await.len(), 5);
    // The next run brings another one, which counts from when the operator's is cleared.
    bench.run(Spec::parallel(2, 1).limit(8)).await;
    assert_eq!(bench.claim(&seat, 50).await.len(), 0);
    bench.set("api", most(Setting::Clear)).await;
    assert_eq!(bench.known("max_concurrency").await.as_deref(), Some("8"));
    assert_eq!(bench.known("set:max_concurrency").await, None);
    assert_eq!(bench.claim(&seat, 50).await.len(), 3);
}

/// F64: up and down, for what is claimed from then on.
#[tokio::test]
async fn a_raised_limit_is_offered_at_once_and_a_lowered_one_holds_at_once() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 50).limit(2)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 50).await;
    assert_eq!((held.len(), bench.offered().await), (2, vec![]));
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench.set("api", most(Setting::Set(3))).await;
    assert_eq!(bench.offered().await, ["api"]);
    assert_eq!(bench.look().await["bell"], json!(["1"]), "somebody is told");
    bench.set("api", most(Setting::Set(1))).await;
    assert_eq!(bench.claim(&seat, 50).await.len(), 0);
    bench.complete(&seat, &held[..1]).await;
    assert_eq!(bench.claim(&seat, 50).await.len(), 0, "one is still in flight");
    bench.complete(&seat, &held[1..]).await;
    assert_eq!(bench.claim(&seat, 50).await.len(), 1);
}

#[tokio::test]
async fn a_limit_that_is_lifted_does_not_hold_whatever_runs_bring() {
    let bench = Bench::start().await;
    let rate = Some(per_age(1, None));
    let brought = Limits {
        max_concurrency: Some(1),
        rate,
        ..Limits::default()
    };
    bench.run_within(Spec::parallel(1, 20), &brought).await;
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
    let lifted = EndpointSettings {
        max_concurrency: Setting::Lift,
        rate: Setting::Lift,
        ..EndpointSettings::default()
    };
    bench.set("api", lifted).await;
    bench.run_within(Spec::parallel(2, 1), &brought).await;
    assert_eq!(bench.claim(&seat, 99).await.len(), 20);
}

#[tokio::test]
async fn a_setting_that_is_kept_stays_as_it_is() {
    let bench = Bench::start().await;
    bench.set("api", most(Setting::Set(3))).await;
    let rate = EndpointSettings {
        rate: Setting::Set(per_age(7, Some(2))),
        ..EndpointSettings::default()
    };
    bench.set("api", rate).await;
    assert_eq!(bench.known("set:max_concurrency").await.as_deref(), Some("3"));
    assert_eq!(bench.known("set:rate").await.as_deref(), Some("7/3600000000/2"));
}

/// Of what runs bring, the newest holds: also that there is none any more.
#[tokio::test]
async fn a_run_without_a_limit_brings_none() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 9).limit(1)).await;
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
    bench.run(Spec::parallel(2, 1)).await;
    assert_eq!(bench.known("max_concurrency").await, None);
    assert_eq!(bench.claim(&seat, 99).await.len(), 9);
}

async fn fleet(bench: &Bench, max_concurrency: Option<u32>) {
    let settings = FleetSettings {
        max_concurrency: Some(max_concurrency),
        order: None,
    };
    bench.store.set_fleet(settings).await.unwrap();
}

#[tokio::test]
async fn the_fleet_never_has_more_in_flight_than_its_limit_over_all_endpoints() {
    let bench = Bench::start().await;
    for (run, endpoint) in [(1, "a"), (2, "b"), (3, "c")] {
        bench.run(Spec::parallel(run, 5).endpoint(endpoint)).await;
    }
    fleet(&bench, Some(4)).await;
    let (one, two) = (bench.seat("w1").await, bench.seat("w2").await);
    let held = bench.claim(&one, 3).await;
    assert_eq!(bench.claim(&two, 9).await.len(), 1);
    assert_eq!(bench.claim(&two, 9).await.len(), 0);
    bench.complete(&one, &held[..2]).await;
    assert_eq!(bench.claim(&two, 9).await.len(), 2);
    fleet(&bench, None).await;
    assert_eq!(bench.claim(&two, 99).await.len(), 9);
}

/// FAIR: collections and mails are neither counted nor limited.
#[tokio::test]
async fn control_jobs_take_no_place_of_the_fleet_and_need_none() {
    let bench = Bench::start().await;
    let cancelled = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(cancelled).await.unwrap();
    bench.run(Spec::parallel(2, 9)).await;
    fleet(&bench, Some(2)).await;
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 2);
    assert_eq!(bench.claim_control(&seat).await.job, ControlJob::Collect(cancelled));
    fleet(&bench, Some(3)).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1, "the collection is not counted");
}

/// F67: whoever frees a place of a full fleet finds what is waiting, and tells others when it wants nothing itself.
#[tokio::test]
async fn a_freed_place_of_the_fleet_is_used() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3).endpoint("a")).await;
    bench.run(Spec::parallel(2, 3).endpoint("b")).await;
    fleet(&bench, Some(1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 9).await;
    assert_eq!(tests_of(&held), [(1, 0)]);
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    assert_eq!(
        bench.look().await["bell"],
        Value::Null,
        "nobody wakes itself over a full fleet"
    );
    bench.complete(&seat, &held).await;
    assert_eq!(bench.look().await["bell"], json!(["1"]));
    let held = bench.claim(&seat, 9).await;
    assert_eq!(held.len(), 1);
    let want = testfleet_store::Want { tests: 9, control: 0 };
    let (_, answer) = bench
        .store
        .complete(&seat, &[completion(&held[0])], want)
        .await
        .unwrap();
    assert!(matches!(answer, testfleet_store::ClaimAnswer::Claimed(claimed) if claimed.tests.len() == 1));
}

/// F68: nothing of what limits is kept in tokens or in one worker's memory: what is lost is found by the next look.
#[tokio::test]
async fn without_bell_and_alarm_what_has_become_claimable_is_found_by_one_tick() {
    let bench = Bench::start().await;
    let rate = Limits {
        rate: Some(per_age(1, Some(1))),
        ..Limits::default()
    };
    bench.run_within(Spec::parallel(1, 3), &rate).await;
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 1).await.len(), 1);
    bench.claim(&seat, 1).await;
    assert!(bench.look().await["alarm"].is_object());
    let () = bench.ask(&["DEL", &bench.key("alarm"), &bench.key("bell")]).await;
    bench.pass("tat", crate::support::limit::interval_us(1)).await;
    bench.wakes_are_due().await;
    let pace = testfleet_store::TickPace {
        lease: crate::support::WORKER_LEASE,
        guard: std::time::Duration::ZERO,
        sweep: crate::support::RETENTION,
        idle_sweep: crate::support::RETENTION,
    };
    bench.store.tick("w2", pace).await.unwrap();
    assert_eq!(bench.look().await["bell"], json!(["1"]));
    assert_eq!(bench.claim(&seat, 1).await.len(), 1);
}
