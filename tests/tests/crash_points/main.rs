//! Crash points: every command that a process of ours sends to Redis is a moment at which its connection may break, at
//! which it may be killed, or at which it may freeze and come back later. A proxy (`testfleet_testkit::CommandProxy`) makes
//! each of these happen at exactly that command: before the server got it, after it was executed and before the reply, and
//! after the reply.
//!
//! Whatever happens, the run ends with one result per test, one summary and one mail; nothing is called that was not to be
//! called; a process that comes back changes nothing; and nothing is left behind.
//!
//! Every command is struck, with a fixed rotation of moments and faults; `make crash-points` strikes every command in every
//! way. One point again: `CRASH_POINTS=parallel:7:executed:kill cargo test -p testfleet-tests --test crash_points`.
//!
//! Promises: SUBMIT-DURABLE, SUBMIT-IDEMPOTENT, SUBMIT-ATOMIC, NO-LOST-TEST, NO-PHANTOM, RESULT-IDEMPOTENT, ZOMBIE-HARMLESS,
//! COUNTDOWN-EXACT, COLLECT-ONCE, COLLECT-COMPLETE, NOTIFY-ONCE-PLUS, SEQUENTIAL-ORDER, NO-OVERLAP, NO-LEAK, LIMITS-HOLD.

mod case;
mod ground;
mod judge;
mod point;
mod standstill;
mod submission_case;
mod victim;
mod watch;
mod worker_case;

use case::strike;
use point::Scenario;

/// All commands.
const ALL: u64 = u64::MAX;
/// Of what comes again and again, as many as fall into one run.
const SOME: u64 = 8;

/// F04, F10, F40, F41.
#[test]
fn a_parallel_run_survives_every_point() {
    strike(Scenario::Parallel, ALL);
}

#[test]
fn a_sequential_run_survives_every_point() {
    strike(Scenario::Sequential, ALL);
}

/// ATTEMPTS-BOUNDED, TAKEOVER-BOUND.
#[test]
fn a_run_survives_every_point_of_the_worker_that_takes_over() {
    strike(Scenario::Takeover, ALL);
}

#[test]
fn a_cancelled_run_survives_every_point() {
    strike(Scenario::Cancelled, ALL);
}

/// LIMITS-HOLD: no slot is lost, no wake-up is missed, and nothing begins above a limit, whatever happens.
#[test]
fn a_run_that_waits_for_limits_survives_every_point() {
    strike(Scenario::Limited, ALL);
}

#[test]
fn a_run_survives_the_loss_of_its_worker_at_what_all_workers_do_at_intervals() {
    strike(Scenario::Background, SOME);
}

#[test]
fn a_run_survives_every_point_of_the_start_of_its_worker() {
    strike(Scenario::Start, SOME);
}

/// F06.
#[test]
fn a_submission_with_a_key_makes_one_run_whatever_happens_to_it() {
    strike(Scenario::Submission, ALL);
}
