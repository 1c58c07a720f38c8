//! What the server spends on a test, by how many go with one call. Figures, not assertions:
//! `cargo nextest run -p testfleet-store --run-ignored only --no-capture figures_of`

#![allow(clippy::print_stdout, reason = "figures")]

use std::time::Duration;

use testfleet_model::Status;
use testfleet_model::configuration::{Adaptive, Breaker, Limits, Rate};
use testfleet_store::{ClaimAnswer, ClaimedTest, Completion, Feedback, Seat, Signal, Want};

use crate::crowd::cpu_time;
use crate::support::limit::AGE;
use crate::support::{Bench, STAGING, Spec};

const PAYLOAD: usize = 200;

/// Every limit there is, none of which is met.
fn every_limit() -> Limits {
    let rate = Rate {
        count: 1_000_000_000,
        per: Duration::from_secs(1),
        burst: None,
    };
    Limits {
        max_concurrency: Some(1 << 24),
        rate: Some(rate),
        tokens: Some(rate),
        adaptive: Adaptive {
            enabled: true,
            min: 1,
            start: Some(1 << 24),
        },
        breaker: Some(Breaker {
            failures: 1_000,
            cool_down: Duration::from_secs(1),
        }),
    }
}

fn done(test: &ClaimedTest) -> Completion {
    Completion {
        run: test.run,
        index: test.index,
        fence: test.fence,
        status: Status::Pass,
        result: vec![b'r'; PAYLOAD],
        captured: String::new(),
        give_up: String::new(),
        feedback: Feedback {
            signal: Signal::Accepted,
            claimed_ms: 1,
            busy: Duration::from_millis(50),
            ..Feedback::default()
        },
    }
}

async fn submit(bench: &Bench, spec: Spec<'_>, limits: &Limits) {
    let payload = [b'p'; PAYLOAD];
    let new = spec.new_run();
    bench.store.create(&new).await.unwrap();
    for first in (0..spec.total).step_by(500) {
        let chunk = vec![payload; (spec.total - first).min(500) as usize];
        bench.store.stage(new.id, first, &chunk, STAGING).await.unwrap();
    }
    bench.store.activate(new.id, spec.total, AGE, limits).await.unwrap();
}

async fn turn(bench: &Bench, seat: &Seat, done: &[Completion], most: usize) -> Vec<ClaimedTest> {
    let want = Want {
        tests: most,
        control: 0,
    };
    let (_, answer) = bench.store.complete(seat, done, want).await.unwrap();
    let ClaimAnswer::Claimed(claimed) = answer else {
        panic!("{answer:?}")
    };
    claimed.tests
}

/// Works through `calls` turns of a run, and says what one test cost.
async fn measure(what: &str, spec: Spec<'_>, limits: &Limits, most: usize) {
    let bench = Bench::start().await;
    // As long as the names of real ones, which decides how the server keeps what they hold.
    let seat = bench.seat("worker-0b9c5bd4.01a226ca-cdf1-70be-9b97-f1f952b0aa5d").await;
    submit(&bench, spec, limits).await;
    let mut held = bench.claim(&seat, most).await;
    let () = bench.ask(&["CONFIG", "RESETSTAT"]).await;
    let (cpu, commands) = (cpu_time(&bench).await, bench.commands().await);
    let mut jobs = 0_u32;
    while !held.is_empty() {
        let completions: Vec<Completion> = held.iter().map(done).collect();
        jobs += u32::try_from(held.len()).unwrap();
        held = turn(&bench, &seat, &completions, most).await;
    }
    let spent = (cpu_time(&bench).await - cpu).as_secs_f64() * 1e6 / f64::from(jobs);
    let stats: String = bench.ask(&["INFO", "commandstats"]).await;
    let function = stats.lines().find(|line| line.starts_with("cmdstat_fcall:")).unwrap();
    let us: f64 = function
        .split("usec=")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let commands = (bench.commands().await - commands) as f64 / f64::from(jobs);
    println!(
        "{what}: {most} per call: {spent:.2} µs of the server's CPU per test, {:.2} of it in functions, {commands:.2} commands",
        us / f64::from(jobs)
    );
    if std::env::var_os("COMMANDS").is_some() {
        for line in stats.lines().filter(|line| line.contains("usec=")) {
            println!("  {line}");
        }
    }
}

#[tokio::test]
#[ignore = "figures"]
async fn figures_of_batches() {
    for (what, limits) in [("no limits", Limits::default()), ("every limit", every_limit())] {
        for (most, total) in [(1, 10_000), (8, 40_000), (64, 64_000), (256, 102_400)] {
            measure(what, Spec::parallel(1, total).cap(total).tenant("one"), &limits, most).await;
        }
        measure(&format!("{what}, Sequential"), Spec::sequential(1, 5_000), &limits, 1).await;
    }
}
