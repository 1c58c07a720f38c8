//! Any order of all transitions keeps the state of the store consistent, and every run can be brought to its end.
//!
//! A case is a list of steps drawn from a seed: claims, lost answers, results, late and double results, retries,
//! workers that die and come back as zombies, cancels, deadlines, collections, and a server that forgets its scripts.
//! After every step the whole database is held against the invariants of `invariant.rs`; at the end everything is
//! driven to its end and nothing may be left. A case that fails is made smaller by leaving steps out, and printed.
//!
//! `TESTFLEET_INTERLEAVINGS` sets the number of cases, `TESTFLEET_INTERLEAVING_SEED` the first seed.
//!
//! Failure modes held here: F01–F04, F13, F17, F20, F22, F26, F27, F31, F37, F39–F42, F52, F61–F63, F67, F76.

mod invariant;
mod snapshot;
mod step;
mod world;

use testfleet_testkit::TestRedis;

use step::Step;
use world::World;

const CASES: u64 = 120;
const STEPS: usize = 80;
/// Reruns spent on making a failing case smaller.
const RERUNS: usize = 400;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Runs the steps; answers what went wrong and after how many steps.
async fn play(redis: &TestRedis, seed: u64, steps: &[Step]) -> Result<(), (usize, String)> {
    let mut world = World::new(redis, seed, false).await;
    for (at, step) in steps.iter().enumerate() {
        world
            .take(*step)
            .await
            .map_err(|wrong| (at + 1, format!("{step:?}: {wrong}")))?;
    }
    world
        .drive_to_the_end()
        .await
        .map_err(|wrong| (steps.len(), format!("driving to the end: {wrong}")))
}

/// Leaves out what is not needed for it to fail.
async fn shrink(redis: &TestRedis, seed: u64, mut steps: Vec<Step>, mut wrong: String) -> (Vec<Step>, String) {
    let mut reruns = 0;
    let mut at = 0;
    while at < steps.len() && reruns < RERUNS {
        reruns += 1;
        let mut fewer = steps.clone();
        fewer.remove(at);
        match play(redis, seed, &fewer).await {
            Ok(()) => at += 1,
            Err((failed_after, why)) => {
                fewer.truncate(failed_after);
                steps = fewer;
                wrong = why;
            }
        }
    }
    (steps, wrong)
}

#[tokio::test]
async fn any_interleaving_keeps_the_invariants_and_ends() {
    let redis = TestRedis::start();
    let first = setting("TESTFLEET_INTERLEAVING_SEED", 1);
    for seed in first..first + setting("TESTFLEET_INTERLEAVINGS", CASES) {
        let steps = step::draw(seed, STEPS);
        if let Err((failed_after, wrong)) = play(&redis, seed, &steps).await {
            let (steps, wrong) = shrink(&redis, seed, steps[..failed_after].to_vec(), wrong).await;
            panic!(
                "seed {seed}: {wrong}\nafter these steps:\n{}",
                steps.iter().map(|step| format!("  {step:?}\n")).collect::<String>()
            );
        }
    }
}

/// The invariants notice what they are for: each damage is one that a wrong script could do.
#[tokio::test]
async fn the_invariants_notice_damage() {
    let redis = TestRedis::start();
    for (damage, part) in invariant::DAMAGES {
        let mut world = World::new(&redis, 7, true).await;
        for step in step::claims() {
            world.take(step).await.unwrap();
        }
        world.damage(damage).await;
        let wrong = world.check().await.expect_err(damage);
        assert!(wrong.contains(part), "{damage}: {wrong}");
    }
}
