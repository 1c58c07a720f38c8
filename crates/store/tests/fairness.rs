//! Who is next: endpoints, tenants by weight, runs by priority, all in endpoint time (FAIR).

use std::collections::BTreeMap;

use testfleet_model::RunId;
use testfleet_store::{FleetOrder, FleetSettings, Seat};

use crate::support::{Bench, Spec, id};

/// Tests are claimed and go on: what is shared is who begins.
struct Fleet {
    bench: Bench,
    seat: Seat,
}

impl Fleet {
    async fn start() -> Self {
        let bench = Bench::start().await;
        let seat = bench.seat("w1").await;
        Self { bench, seat }
    }

    /// A run with more tests than are claimed, each of which takes so long.
    async fn run(&self, spec: Spec<'_>, cost_ms: u32) -> RunId {
        let run = self.bench.run(spec.cap(100_000)).await;
        self.cost(run, cost_ms).await;
        run
    }

    async fn cost(&self, run: RunId, cost_ms: u32) {
        let key = self.bench.store.keys().run(run);
        let () = self.bench.ask(&["HSET", &key, "cost_ms", &cost_ms.to_string()]).await;
    }

    async fn weight(&self, tenant: &str, weight: f64) {
        self.bench.store.set_tenant(tenant, Some(weight)).await.unwrap();
    }

    async fn next(&self) -> u128 {
        self.bench.claim_one(&self.seat).await.run.as_uuid().as_u128()
    }

    /// How many of the next tests each run gets.
    async fn shares(&self, claims: usize) -> BTreeMap<u128, usize> {
        let mut shares = BTreeMap::new();
        for _ in 0..claims {
            *shares.entry(self.next().await).or_insert(0) += 1;
        }
        shares
    }
}

fn shares<const N: usize>(expected: [(u128, usize); N]) -> BTreeMap<u128, usize> {
    expected.into()
}

/// F66
#[tokio::test]
async fn tenants_share_an_endpoint_by_their_weights() {
    let fleet = Fleet::start().await;
    fleet.run(Spec::parallel(1, 500).tenant("one"), 40).await;
    fleet.run(Spec::parallel(2, 500).tenant("three"), 40).await;
    fleet.weight("three", 3.0).await;
    assert_eq!(fleet.shares(400).await, shares([(1, 100), (2, 300)]));
    // And when the weights change, from then on.
    fleet.bench.store.set_tenant("three", None).await.unwrap();
    let first = fleet.shares(4).await;
    assert!(first.len() <= 2);
    assert_eq!(fleet.shares(100).await, shares([(1, 50), (2, 50)]));
}

/// What is shared is the time of the endpoint: whoever has long tests gets fewer of them.
#[tokio::test]
async fn it_is_time_that_is_shared_and_not_tests() {
    let fleet = Fleet::start().await;
    fleet.run(Spec::parallel(1, 500).tenant("quick"), 20).await;
    fleet.run(Spec::parallel(2, 500).tenant("slow"), 60).await;
    assert_eq!(fleet.shares(400).await, shares([(1, 300), (2, 100)]));
    fleet.weight("slow", 3.0).await;
    let quick = *fleet.shares(400).await.get(&1).unwrap();
    assert!((199..=201).contains(&quick), "{quick}");
}

/// F66
#[tokio::test]
async fn many_runs_of_one_tenant_are_no_more_than_one_of_another() {
    let fleet = Fleet::start().await;
    for run in 1..=50 {
        fleet.run(Spec::parallel(run, 100).tenant("many"), 40).await;
    }
    fleet.run(Spec::parallel(99, 500).tenant("one"), 40).await;
    let given = fleet.shares(400).await;
    assert_eq!(given[&99], 200);
    let others: Vec<usize> = (1..=50).map(|run| given[&run]).collect();
    assert_eq!(others, [4; 50], "equal among themselves");
}

/// F66: of whatever weights and costs, at every moment, two that both wait have had the same for their weight but for one
/// test of each: the bound of start-time fair queueing.
#[tokio::test]
async fn nobody_is_ever_more_than_a_test_ahead_or_behind() {
    let fleet = Fleet::start().await;
    let tenants = [
        ("a", 1.0, 35),
        ("b", 3.0, 210),
        ("c", 0.5, 11),
        ("d", 7.0, 90),
        ("e", 1.0, 400),
    ];
    for (run, (tenant, weight, cost)) in (1..).zip(tenants) {
        fleet.run(Spec::parallel(run, 1_500).tenant(tenant), cost).await;
        fleet.weight(tenant, weight).await;
    }
    let step = |run: usize| f64::from(tenants[run].2) / tenants[run].1;
    let mut served = [0.0; 5];
    for claim in 0..1_200 {
        let run = usize::try_from(fleet.next().await).unwrap() - 1;
        served[run] += step(run);
        for one in 0..5 {
            for other in 0..5 {
                let ahead = served[one] - served[other];
                // Virtual clocks are whole milliseconds.
                assert!(
                    ahead <= step(one) + step(other) + 2.0,
                    "claim {claim}: {one} is {ahead} ahead of {other}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_new_run_neither_catches_up_nor_waits() {
    let fleet = Fleet::start().await;
    for run in 1..=2 {
        fleet.run(Spec::parallel(run, 900), 40).await;
    }
    fleet.shares(300).await;
    fleet.run(Spec::parallel(3, 900), 40).await;
    assert_eq!(fleet.shares(3).await.len(), 3, "it is served in the first round");
    assert_eq!(fleet.shares(60).await, shares([(1, 20), (2, 20), (3, 20)]));
}

#[tokio::test]
async fn a_tenant_that_was_idle_has_saved_nothing_up() {
    let fleet = Fleet::start().await;
    fleet.run(Spec::parallel(1, 900).tenant("busy"), 40).await;
    fleet.run(Spec::parallel(2, 5).tenant("idle"), 40).await;
    fleet.shares(300).await;
    fleet.run(Spec::parallel(3, 900).tenant("idle"), 40).await;
    // It begins where the last one that was served began.
    let tenants = crate::support::endpoint_of("api", "tenants");
    let places: Vec<(String, f64)> = fleet.bench.ask(&["ZRANGE", &tenants, "0", "-1", "WITHSCORES"]).await;
    assert_eq!((places[0].0.as_str(), places[1].1 - places[0].1), ("idle", 40.0));
    let first = fleet.shares(2).await;
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(fleet.shares(40).await, shares([(1, 20), (3, 20)]));
}

/// A run that waited for its own tests, not in line, is no creditor either.
#[tokio::test]
async fn a_run_that_was_paused_has_saved_nothing_up() {
    let fleet = Fleet::start().await;
    for run in 1..=2 {
        fleet.run(Spec::parallel(run, 900), 40).await;
    }
    fleet.bench.store.pause(id(1)).await.unwrap();
    fleet.shares(200).await;
    fleet.bench.store.resume(id(1)).await.unwrap();
    fleet.shares(2).await;
    assert_eq!(fleet.shares(40).await, shares([(1, 20), (2, 20)]));
}

/// `high`, `normal` and `low` share ten to one each: nobody starves.
#[tokio::test]
async fn priorities_share_what_their_tenant_gets() {
    let fleet = Fleet::start().await;
    for (run, weight) in [(1, 10.0), (2, 1.0), (3, 0.1)] {
        fleet.run(Spec::parallel(run, 900).weight(weight), 40).await;
    }
    // Each begins once; the rounds after that are long.
    fleet.shares(3).await;
    let given = fleet.shares(444).await;
    assert_eq!(given, shares([(1, 400), (2, 40), (3, 4)]));
    // Of its own tenant only.
    fleet.run(Spec::parallel(4, 900).tenant("other").weight(0.1), 40).await;
    fleet.shares(2).await;
    assert_eq!(fleet.shares(100).await[&4], 50);
}

/// F65, FAIR: endpoints share workers by time too, so one with slow tests does not take all of them.
#[tokio::test]
async fn endpoints_share_the_workers_by_time() {
    let fleet = Fleet::start().await;
    fleet.run(Spec::parallel(1, 900).endpoint("slow"), 120).await;
    fleet.run(Spec::parallel(2, 900).endpoint("quick"), 40).await;
    assert_eq!(fleet.shares(400).await, shares([(1, 100), (2, 300)]));
}

/// Batches are what workers ask for: shares are the same, a batch is not split without need.
#[tokio::test]
async fn batches_do_not_change_the_shares() {
    let fleet = Fleet::start().await;
    for run in 1..=3 {
        fleet.run(Spec::parallel(run, 900), 40).await;
    }
    let mut given = BTreeMap::new();
    for _ in 0..30 {
        let tests = fleet.bench.claim(&fleet.seat, 7).await;
        assert_eq!(tests.len(), 7);
        for test in tests {
            *given.entry(test.run.as_uuid().as_u128()).or_insert(0) += 1;
        }
    }
    assert_eq!(given, shares([(1, 70), (2, 70), (3, 70)]));
}

async fn order(fleet: &Fleet, order: FleetOrder) {
    let settings = FleetSettings {
        max_concurrency: None,
        order: Some(order),
    };
    fleet.bench.store.set_fleet(settings).await.unwrap();
}

/// F72
#[tokio::test]
async fn what_was_started_first_is_finished_first_where_that_is_wanted() {
    let fleet = Fleet::start().await;
    order(&fleet, FleetOrder::FinishFirst).await;
    for run in 1..=3 {
        fleet.run(Spec::parallel(run, 5), 40).await;
        // Activated in a millisecond of its own.
        testfleet_testkit::wait_for("another millisecond", async || {
            let key = fleet.bench.store.keys().run(id(run));
            let activated: i64 = fleet.bench.ask(&["HGET", &key, "activated_at"]).await;
            (fleet.bench.store.now_ms().await.unwrap() > activated).then_some(())
        })
        .await;
    }
    let mut given = Vec::new();
    for _ in 0..15 {
        given.push(fleet.next().await);
    }
    assert_eq!(given, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
}

/// F72: a test that comes back goes before the runs that were started later.
#[tokio::test]
async fn a_retry_of_the_oldest_run_goes_before_newer_runs() {
    let fleet = Fleet::start().await;
    order(&fleet, FleetOrder::FinishFirst).await;
    fleet.run(Spec::parallel(1, 2), 40).await;
    let held = fleet.bench.claim(&fleet.seat, 2).await;
    let key = fleet.bench.store.keys().run(id(1));
    let () = fleet.bench.ask(&["HSET", &key, "activated_at", "1000"]).await;
    fleet.run(Spec::parallel(2, 5), 40).await;
    let unsent = testfleet_store::Feedback::default();
    fleet
        .bench
        .try_later(&fleet.seat, &held[0], std::time::Duration::ZERO, unsent)
        .await;
    assert_eq!(fleet.next().await, 1);
}

/// Of those that wait already too, and back again.
#[tokio::test]
async fn another_order_holds_at_once() {
    let fleet = Fleet::start().await;
    for run in 1..=3 {
        fleet.run(Spec::parallel(run, 50), 40).await;
        let key = fleet.bench.store.keys().run(id(run));
        let () = fleet
            .bench
            .ask(&["HSET", &key, "activated_at", &(1_000 + run).to_string()])
            .await;
    }
    assert_eq!(fleet.next().await, 1);
    order(&fleet, FleetOrder::FinishFirst).await;
    assert_eq!(fleet.shares(10).await, shares([(1, 10)]));
    order(&fleet, FleetOrder::Fair).await;
    // From now on: nobody has saved anything up.
    assert_eq!(fleet.shares(9).await, shares([(1, 3), (2, 3), (3, 3)]));
}

/// Tenants share as before.
#[tokio::test]
async fn finishing_first_is_within_a_tenant() {
    let fleet = Fleet::start().await;
    order(&fleet, FleetOrder::FinishFirst).await;
    fleet.run(Spec::parallel(1, 50).tenant("a"), 40).await;
    fleet.run(Spec::parallel(2, 50).tenant("b"), 40).await;
    assert_eq!(fleet.shares(40).await, shares([(1, 20), (2, 20)]));
    order(&fleet, FleetOrder::Fair).await;
    fleet.run(Spec::parallel(3, 50).tenant("a"), 40).await;
    fleet.shares(2).await;
    let given = fleet.shares(40).await;
    assert_eq!(given.get(&2), Some(&20), "{given:?}");
}
