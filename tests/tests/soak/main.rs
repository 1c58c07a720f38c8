//! Long tests, left out of `make test`: a fleet under a random fault every 1.5 s (`make soak`), and 100,000 tests without
//! a fault (`make volume`).

mod chance;
mod fault;
mod submitting;
mod verdict;
mod volume;

use std::time::{Duration, Instant, SystemTime};

use chance::Chance;
use fault::Faults;
use testfleet_model::RunState;
use testfleet_stub::{Behaviour, Latency, ShareOfErrors};
use testfleet_tests::{Fleet, FleetOptions};

/// Between two faults.
const PACE: Duration = Duration::from_millis(1500);
/// After the last fault, for everything to end: far more than it needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A setting of these tests from the environment.
fn wanted<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let number = text.parse().ok();
    Some(number.unwrap_or_else(|| panic!("{name} must be a number, found {text:?}")))
}

/// Time as both the stub and the server tell it, which run on this machine.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("before the year 292 million")
}

/// Every acknowledged run ends, with one result per test, one summary, one mail, and nothing left over; and no process of
/// ours ends by itself. `SEED` and `SECONDS` come from the environment; the same seed makes the same faults and runs, if
/// not the same schedule.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes SECONDS (300); `make soak`"]
#[expect(clippy::print_stdout, reason = "its figures are its purpose")]
async fn soak() {
    let seed = wanted("SEED").unwrap_or_else(|| u64::try_from(now_ms()).expect("after 1970"));
    let length = Duration::from_secs(wanted("SECONDS").unwrap_or(300));
    println!("soak: SEED={seed} SECONDS={}", length.as_secs());
    let mut options = FleetOptions::short_lease()
        .tcp()
        .flushed_at_once()
        .variable("TESTFLEET_NOTIFY_BACKOFF_INITIAL", "200ms")
        .variable("TESTFLEET_NOTIFY_BACKOFF_MAX", "1s")
        .variable("TESTFLEET_NOTIFY_MAX_ATTEMPTS", "100")
        .variable("TESTFLEET_NOTIFY_TIMEOUT", "2s")
        .variable("TESTFLEET_LOG_LEVEL", "info");
    options.stub.behaviour = Behaviour {
        latency: Latency { min_ms: 5, max_ms: 250 },
        seed,
        errors: Some(ShareOfErrors {
            share: 0.02,
            status: 503,
        }),
        ..Behaviour::default()
    };
    let mut fleet = Fleet::start(options);
    let mut faults = Faults::start(&fleet, Chance::new(seed)).await;
    let submitting = submitting::start(&fleet, Chance::new(seed.wrapping_add(1)));

    let end = Instant::now() + length;
    while Instant::now() < end {
        tokio::time::sleep(PACE).await;
        faults.undo(&mut fleet);
        faults.make_one(&mut fleet, &submitting).await;
    }
    faults.undo(&mut fleet);
    faults.man(&fleet).await;
    let (submitted, refused) = submitting.stop().await;

    let healed = Instant::now();
    let store = fleet.store();
    let mut open = submitted.len();
    while open > 0 && healed.elapsed() < PATIENCE {
        open = 0;
        for one in &submitted {
            let view = store.run_view(one.run).await.ok().flatten();
            let settled = view.is_some_and(|view| view.state.is_terminal() && view.mail.as_deref() == Some("sent"));
            open += usize::from(!settled);
        }
    }
    let drained = healed.elapsed();
    // What the last workers hold when their runs have ended is given back within a heartbeat.
    let idle = verdict::idle(&fleet, PATIENCE).await;

    let verdict = verdict::of(&fleet, &submitted, faults.frozen()).await;
    let mut violations = verdict.violations;
    violations.extend(idle);
    violations.extend(faults.deaths());
    println!("faults: {}", faults.counts());
    println!(
        "runs: {} acknowledged, {} submissions refused, {} cancelled; tests: {}; calls: {} (most for one test {}, attempts called twice {}); \
         not passed: {}; mails: {} ({} twice); discarded results: {}; all ended {:.1} s after the last fault",
        submitted.len(),
        refused,
        verdict.states.get(&RunState::Cancelled).copied().unwrap_or(0),
        verdict.tests,
        verdict.calls,
        verdict.most_calls,
        verdict.attempts_called_twice,
        verdict.not_passed,
        verdict.mails,
        verdict.mails_twice,
        verdict.discarded,
        drained.as_secs_f64(),
    );
    println!(
        "overlaps of Sequential calls with those of a frozen worker (allowed): {}",
        verdict.overlaps_allowed
    );
    println!("violations: {}", violations.len());
    for violation in violations.iter().take(50) {
        println!("  {violation}");
    }
    assert!(submitted.len() > 3, "hardly anything was submitted");
    assert!(violations.is_empty(), "SEED={seed}: {} violations", violations.len());
}
