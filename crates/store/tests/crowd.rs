//! Thousands of runs that wait at endpoints without room cost a claim nothing (F57, F65).

#![allow(clippy::print_stdout, reason = "figures")]

use std::time::Duration;

use testfleet_model::configuration::Limits;
use testfleet_store::{ClaimAnswer, ClaimedTest, HoldUntil, Seat, Store, StoreOptions, Want};

use crate::support::limit::{AGE, per_age};
use crate::support::{Bench, STAGING, Spec, completion, id};

const ENDPOINTS: u32 = 10;
const ONE: Want = Want { tests: 1, control: 0 };

/// Endpoints without room: of each kind some.
async fn without_room(bench: &Bench, seat: &Seat) -> ClaimedTest {
    let mut full = Vec::new();
    for number in 0..ENDPOINTS {
        let name = endpoint(number);
        let limits = match number % 2 {
            0 => crate::support::bench::limits(Some(1)),
            _ => Limits {
                rate: Some(per_age(1, Some(1))),
                ..Limits::default()
            },
        };
        let spec = Spec::parallel(1_000_000 + u128::from(number), 500).endpoint(&name);
        bench.run_within(spec, &limits).await;
        full.extend(bench.claim(seat, 1).await);
        if number % 5 == 4 {
            let until = HoldUntil::After(AGE);
            bench.store.hold_endpoint(&name, until, "").await.unwrap();
        }
    }
    assert_eq!(full.len(), ENDPOINTS as usize);
    full.remove(0)
}

fn endpoint(number: u32) -> String {
    format!("full {}", number % ENDPOINTS)
}

/// So many runs come and wait there, of twenty tenants.
async fn crowd(bench: &Bench, runs: u32) {
    let url = bench.redis.url();
    let comers = (0..8_u32).map(|comer| {
        let store = Store::new(&StoreOptions::new(url.clone())).unwrap();
        tokio::spawn(async move {
            for number in (0..runs).filter(|number| number % 8 == comer) {
                let (name, tenant) = (endpoint(number), format!("tenant{}", number % 20));
                let spec = Spec::parallel(1_000 + u128::from(number), 2)
                    .endpoint(&name)
                    .tenant(&tenant);
                let run = spec.new_run();
                store.create(&run).await.unwrap();
                store.stage(run.id, 0, &["x", "y"], STAGING).await.unwrap();
                // As the others: a run without limits would lift them.
                let limits = match number % 2 {
                    0 => crate::support::bench::limits(Some(1)),
                    _ => Limits {
                        rate: Some(per_age(1, Some(1))),
                        ..Limits::default()
                    },
                };
                store.activate(run.id, 2, AGE, &limits).await.unwrap();
            }
        })
    });
    for comer in comers.collect::<Vec<_>>() {
        comer.await.unwrap();
    }
}

/// A fleet with a run that can be claimed from, and so many that cannot.
async fn busy(waiting: u32) -> (Bench, Seat, ClaimedTest) {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    let full = without_room(&bench, &seat).await;
    crowd(&bench, waiting).await;
    bench.run(Spec::parallel(1, 20_000).cap(20_000)).await;
    // The alarm for what time brings is set, and everything has been looked at once.
    let first = bench.claim_one(&seat).await;
    assert_eq!(first.run, id(1));
    bench.complete(&seat, &[first]).await;
    bench.claim_one(&seat).await;
    (bench, seat, full)
}

async fn complete_and_claim(bench: &Bench, seat: &Seat, test: &ClaimedTest) -> ClaimedTest {
    let (_, answer) = bench.store.complete(seat, &[completion(test)], ONE).await.unwrap();
    let ClaimAnswer::Claimed(mut claimed) = answer else {
        panic!("{answer:?}")
    };
    claimed.tests.pop().expect("a test")
}

#[tokio::test]
async fn a_claim_runs_the_same_commands_with_ten_and_with_five_thousand_waiting_runs() {
    let mut costs = Vec::new();
    for waiting in [10, 5_000] {
        let (bench, seat, full) = busy(waiting).await;
        assert_eq!(bench.offered().await, ["api"]);
        let before = bench.commands().await;
        let test = bench.claim_one(&seat).await;
        let claimed = bench.commands().await;
        let test = complete_and_claim(&bench, &seat, &test).await;
        let completed = bench.commands().await;
        bench.complete(&seat, &[test]).await;
        // A place becomes free where they wait, and one of them gets it.
        let freed = bench.commands().await;
        bench.complete(&seat, &[full]).await;
        let offered = bench.commands().await;
        assert_eq!(bench.offered().await.len(), 2);
        let () = bench
            .ask(&["ZADD", &bench.key("ready:endpoints"), "-1", "full 0"])
            .await;
        let given = bench.commands().await;
        let given_test = bench.claim_one(&seat).await;
        assert_ne!(given_test.run, id(1));
        let taken = bench.commands().await;
        costs.push([claimed - before, completed - claimed, offered - freed, taken - given]);
        assert_eq!(bench.offered().await, ["api"], "it is full again");
    }
    println!(
        "commands of a claim, of a result that claims, of a result that frees a place, of a claim of that place: {costs:?}"
    );
    assert_eq!(costs[0], costs[1]);
}

/// `cargo nextest run -p testfleet-store --run-ignored only --no-capture figures_of_a_crowd`
#[tokio::test]
#[ignore = "figures"]
async fn figures_of_a_crowd() {
    const CALLS: u32 = 5_000;
    for waiting in [10, 5_000] {
        let (bench, seat, _) = busy(waiting).await;
        for warming in [true, false] {
            let () = bench.ask(&["CONFIG", "RESETSTAT"]).await;
            let cpu = cpu_time(&bench).await;
            let mut test = bench.claim_one(&seat).await;
            for _ in 1..CALLS {
                test = complete_and_claim(&bench, &seat, &test).await;
            }
            let spent = cpu_time(&bench).await - cpu;
            let stats: String = bench.ask(&["INFO", "commandstats"]).await;
            let script = stats.lines().find(|line| line.starts_with("cmdstat_fcall:")).unwrap();
            let per_call = script
                .split("usec_per_call=")
                .nth(1)
                .unwrap()
                .split(',')
                .next()
                .unwrap();
            if !warming {
                println!(
                    "{waiting} runs wait without room: {per_call} µs per result that claims the next test in the script, {:.1} µs of the server's CPU in all",
                    spent.as_secs_f64() * 1e6 / f64::from(CALLS)
                );
            }
        }
    }
}

/// User and system time of the server.
pub async fn cpu_time(bench: &Bench) -> Duration {
    let info: String = bench.ask(&["INFO", "cpu"]).await;
    let seconds = |name: &str| -> f64 {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().parse().unwrap()
    };
    Duration::from_secs_f64(seconds("used_cpu_sys") + seconds("used_cpu_user"))
}
