//! Limits, holds, budgets and shapes: every promise holds in every state of these scenarios, and from every state the end can be
//! reached.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use testfleet_proof::{Scenario, Told};

const CALM: Scenario = Scenario::calm("");
const ONE: Scenario = Scenario { tests: 1, ..CALM };
/// Two runs of one test each, with one place at their endpoint.
const TWO: Scenario = Scenario {
    runs: 2,
    tests: 1,
    endpoint: Some(1),
    ..CALM
};

/// Both ways of looking have to agree on how many states there are.
fn holds(scenario: Scenario) {
    let verdict = scenario.check();
    println!("{verdict}");
    assert!(verdict.broken.is_empty(), "{verdict}");
    assert_eq!(verdict.stuck(), 0, "{verdict}");
    assert!(verdict.ends, "{verdict}");
    assert_eq!(verdict.progress.as_ref().unwrap().states, verdict.states, "{verdict}");
}

#[test]
fn two_runs_share_the_room_of_an_endpoint() {
    holds(Scenario {
        name: "2 runs, 1 test each, 1 fault",
        faults: 1,
        ..TWO
    });
    holds(Scenario {
        name: "2 runs of 2 tenants, failing and cancel, no fault",
        tenants: 2,
        failing: true,
        cancel: true,
        ..TWO
    });
    holds(Scenario {
        name: "2 runs, 2 tests each, cancel and pause, no fault",
        tests: 2,
        cancel: true,
        pause: true,
        ..TWO
    });
}

/// While metrics ask somebody else, the place at the endpoint is for others.
#[test]
fn tests_whose_endpoint_has_answered_take_no_room() {
    holds(Scenario {
        name: "judged, 2 runs, 1 test each, 1 fault",
        judged: true,
        faults: 1,
        attempts: 1,
        ..TWO
    });
    holds(Scenario {
        name: "judged, 2 runs, cancel, failing, handing back, no fault",
        judged: true,
        cancel: true,
        failing: true,
        handing_back: true,
        ..TWO
    });
    holds(Scenario {
        name: "judged, 2 tests, budget of 2 requests, adaptive, no fault",
        judged: true,
        failing: true,
        budget: Some(2),
        tells: &[Told::Congested, Told::Held],
        ..CALM
    });
    holds(Scenario {
        name: "judged, Sequential, 1 fault",
        judged: true,
        sequential: true,
        cap: 1,
        faults: 1,
        ..CALM
    });
}

/// The calls that a collection takes the right to keep their place.
#[test]
fn calls_of_a_cancelled_run_take_room_until_they_stop() {
    holds(Scenario {
        name: "2 runs, cancel and deadline, 1 attempt, no fault",
        attempts: 1,
        cancel: true,
        deadline: true,
        ..TWO
    });
    holds(Scenario {
        name: "reopen after cancel, 1 place, 1 attempt, 1 fault",
        runs: 1,
        attempts: 1,
        faults: 1,
        cancel: true,
        epochs: 2,
        ..TWO
    });
}

#[test]
fn a_limit_that_an_operator_changes_holds_from_then_on() {
    holds(Scenario {
        name: "limit 1 or 2, cancel, no fault",
        set: Some(Some(2)),
        cancel: true,
        failing: true,
        ..TWO
    });
    holds(Scenario {
        name: "limit 1 or none, 1 fault",
        set: Some(None),
        faults: 1,
        ..TWO
    });
}

#[test]
fn nothing_begins_while_an_endpoint_is_held() {
    holds(Scenario {
        name: "hold, failing, 1 fault",
        hold: true,
        failing: true,
        faults: 1,
        ..ONE
    });
    holds(Scenario {
        name: "hold, 2 runs of 2 tenants, cancel and pause, no fault",
        hold: true,
        tenants: 2,
        cancel: true,
        pause: true,
        ..TWO
    });
}

#[test]
fn an_endpoint_that_refuses_is_left_alone_and_tried_again() {
    holds(Scenario {
        name: "adaptive, Retry-After, 2 tests, no fault",
        failing: true,
        tells: &[Told::Congested, Told::Held],
        ..CALM
    });
    holds(Scenario {
        name: "adaptive, Retry-After, 2 runs, 1 fault",
        failing: true,
        faults: 1,
        tells: &[Told::Congested, Told::Held],
        endpoint: None,
        ..TWO
    });
    holds(Scenario {
        name: "breaker, 2 runs, cancel, no fault",
        failing: true,
        breaker: true,
        cancel: true,
        tells: &[Told::Failed],
        endpoint: None,
        ..TWO
    });
    holds(Scenario {
        name: "breaker, 2 tests, 1 fault",
        failing: true,
        faults: 1,
        breaker: true,
        tells: &[Told::Failed],
        ..CALM
    });
}

#[test]
fn a_rate_is_kept_to_and_waited_for() {
    holds(Scenario {
        name: "rate 1, 2 tests, handing back, 1 fault",
        rate: Some(1),
        handing_back: true,
        faults: 1,
        ..CALM
    });
    holds(Scenario {
        name: "tokens, 2 runs, cancel, 1 attempt, no fault",
        endpoint: None,
        tokens: true,
        attempts: 1,
        cancel: true,
        ..TWO
    });
    holds(Scenario {
        name: "rate 1, 2 runs, 1 place, cancel, no fault",
        rate: Some(1),
        cancel: true,
        failing: true,
        ..TWO
    });
}

#[test]
fn the_fleet_has_a_limit_over_all_endpoints() {
    holds(Scenario {
        name: "fleet 1, 2 endpoints, cancel, failing, no fault",
        endpoints: 2,
        fleet: Some(1),
        endpoint: None,
        cancel: true,
        failing: true,
        ..TWO
    });
    holds(Scenario {
        name: "fleet 1, 2 endpoints, 1 fault",
        endpoints: 2,
        fleet: Some(1),
        faults: 1,
        ..TWO
    });
}

#[test]
fn a_failure_too_many_ends_the_run_on_all_workers() {
    holds(Scenario {
        name: "fail fast, 3 tests, 1 fault",
        tests: 3,
        attempts: 1,
        erring: true,
        fail_fast: Some(1),
        faults: 1,
        ..CALM
    });
    holds(Scenario {
        name: "fail fast, 2 runs, 2 tests each, 2 places, no fault",
        tests: 2,
        attempts: 1,
        erring: true,
        fail_fast: Some(1),
        endpoint: Some(2),
        ..TWO
    });
}

#[test]
fn a_budget_is_kept_to_and_ends_the_run_that_has_used_it_up() {
    holds(Scenario {
        name: "budget 2 of 3 tests, failing and handing back, 1 fault",
        tests: 3,
        budget: Some(2),
        failing: true,
        faults: 1,
        ..CALM
    });
    holds(Scenario {
        name: "budget 1 of 2 tests, handing back, cancel, reopened, no fault",
        budget: Some(1),
        handing_back: true,
        cancel: true,
        epochs: 2,
        ..CALM
    });
}

#[test]
fn tests_begin_after_those_they_depend_on() {
    holds(Scenario {
        name: "a chain of 3 tests, erring, 1 fault",
        tests: 3,
        needs: [&[], &[0], &[1]],
        erring: true,
        faults: 1,
        ..CALM
    });
    holds(Scenario {
        name: "a test after 2 others, failing, 1 fault",
        tests: 3,
        needs: [&[], &[], &[0, 1]],
        failing: true,
        faults: 1,
        attempts: 2,
        ..CALM
    });
    holds(Scenario {
        name: "dependent tests reopened, no fault",
        needs: [&[], &[0], &[]],
        erring: true,
        cancel: true,
        epochs: 2,
        ..CALM
    });
}

#[test]
fn a_group_of_tests_has_a_limit_of_its_own() {
    holds(Scenario {
        name: "group 1, 2 tests, failing and handing back, 1 fault",
        group: Some(1),
        failing: true,
        handing_back: true,
        faults: 1,
        ..CALM
    });
    holds(Scenario {
        name: "group 1, 3 tests, pause and cancel, no fault",
        tests: 3,
        group: Some(1),
        failing: true,
        pause: true,
        cancel: true,
        ..CALM
    });
}
