//! Runs of another version: SKEW-SAFE.

use testfleet_model::RunId;
use testfleet_store::{ForeignRun, RUN_FORMAT, script};

use crate::support::{Bench, Spec, id};

async fn of_format(bench: &Bench, run: RunId, format: &str) {
    let () = bench
        .ask(&["HSET", &bench.store.keys().run(run), "format", format])
        .await;
}

/// As a later version writes it.
async fn newer(bench: &Bench, run: RunId) {
    of_format(bench, run, &(RUN_FORMAT + 1).to_string()).await;
}

#[test]
fn the_scripts_and_the_calls_mean_the_same_format() {
    assert!(script::CLAIM.code().contains(&format!("local FORMAT = '{RUN_FORMAT}'")));
}

#[tokio::test]
async fn a_run_of_another_version_is_left_as_it_is_and_named() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    newer(&bench, id(1)).await;
    let seat = bench.seat("w1").await;
    let before = bench.look().await;
    let claimed = bench.want(&seat, 200, 10).await;
    assert!(claimed.tests.is_empty());
    assert_eq!(
        claimed.foreign_runs,
        [ForeignRun {
            run: id(1),
            format: (RUN_FORMAT + 1).to_string()
        }]
    );
    assert_eq!(bench.look().await, before, "no attempt, no lease, no place is spent");
}

#[tokio::test]
async fn runs_of_our_version_behind_it_are_claimed_and_it_keeps_its_turn() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    bench.run(Spec::parallel(2, 3)).await;
    newer(&bench, id(1)).await;
    let seat = bench.seat("w1").await;
    let claimed = bench.want(&seat, 200, 10).await;
    assert_eq!(claimed.tests.len(), 3);
    assert!(claimed.tests.iter().all(|test| test.run == id(2)));
    assert_eq!(bench.in_line("api").await, [id(1).to_string()]);
    assert_eq!(bench.offered().await, ["api"]);
}

/// The runs of the version before this one wait elsewhere and were given out otherwise.
#[tokio::test]
async fn runs_of_the_version_before_are_left_alone_too() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    of_format(&bench, id(1), "1").await;
    let seat = bench.seat("w1").await;
    let before = bench.look().await;
    assert_eq!(bench.want(&seat, 200, 10).await.foreign_runs[0].format, "1");
    assert_eq!(bench.look().await, before);
    let () = bench
        .ask(&["DEL", &crate::support::endpoint_of("api", "default:waiting")])
        .await;
    bench.sweep().await;
    assert_eq!(bench.in_line("api").await, [""; 0], "the sweeper does not place it");
}

/// F65: a tenant of which all is of another version keeps nobody behind it.
#[tokio::test]
async fn other_tenants_and_endpoints_behind_it_are_served() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    newer(&bench, id(1)).await;
    bench.run(Spec::parallel(2, 2).tenant("other")).await;
    bench.run(Spec::parallel(3, 1).endpoint("elsewhere")).await;
    let seat = bench.seat("w1").await;
    let mut given = crate::support::tests_of(&bench.claim(&seat, 9).await);
    given.sort_unstable();
    assert_eq!(given, [(2, 0), (2, 1), (3, 0)]);
}

/// F47: whoever cannot work on it does not wake itself over it.
#[tokio::test]
async fn a_claim_that_passes_it_over_does_not_ring() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    newer(&bench, id(1)).await;
    let seat = bench.seat("w1").await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench.want(&seat, 200, 10).await;
    let tokens: u32 = bench.ask(&["LLEN", &bench.key("bell")]).await;
    assert_eq!(tokens, 0);
}

#[tokio::test]
async fn a_run_that_lost_its_format_is_ours() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    let () = bench.ask(&["HDEL", &bench.store.keys().run(id(1)), "format"]).await;
    let seat = bench.seat("w1").await;
    assert_eq!(bench.want(&seat, 200, 10).await.tests.len(), 3);
}

/// TERMINAL-ALWAYS
#[tokio::test]
async fn its_deadline_ends_it_when_no_worker_that_knows_it_comes() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    newer(&bench, id(1)).await;
    bench.expire_run(id(1)).await;
    assert_eq!(bench.sweep().await.late, 1);
    let seat = bench.seat("w1").await;
    assert_eq!(bench.want(&seat, 0, 10).await.control.len(), 1);
    let view = bench.store.run_view(id(1)).await.unwrap().unwrap();
    assert_eq!(view.format, (RUN_FORMAT + 1).to_string());
}
