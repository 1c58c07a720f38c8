//! More of everything than a test run has time for: `make model`.

#![allow(clippy::print_stdout, missing_docs)]

use testfleet_proof::{Scenario, Told};

const CALM: Scenario = Scenario::calm("");
const SEQUENTIAL: Scenario = Scenario {
    sequential: true,
    cap: 1,
    ..CALM
};

fn holds(scenario: Scenario) {
    let verdict = scenario.check();
    println!("{verdict}");
    assert!(
        verdict.broken.is_empty() && verdict.stuck() == 0 && verdict.ends,
        "{verdict}"
    );
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn a_parallel_run_survives_three_faults() {
    holds(Scenario {
        name: "parallel, 2 tests, 3 faults",
        faults: 3,
        failing: true,
        ..CALM
    });
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn a_sequential_run_survives_three_faults() {
    holds(Scenario {
        name: "sequential, 2 tests, 3 faults",
        faults: 3,
        failing: true,
        ..SEQUENTIAL
    });
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn three_tests_survive_two_faults() {
    holds(Scenario {
        name: "parallel, 3 tests, 2 faults",
        tests: 3,
        faults: 2,
        ..CALM
    });
    holds(Scenario {
        name: "sequential, 3 tests, 2 faults",
        tests: 3,
        faults: 2,
        failing: true,
        ..SEQUENTIAL
    });
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn a_cancelled_run_survives_two_faults() {
    holds(Scenario {
        name: "cancel, 2 faults",
        faults: 2,
        attempts: 1,
        cancel: true,
        ..CALM
    });
    holds(Scenario {
        name: "cancel, failing, 1 fault",
        faults: 1,
        failing: true,
        cancel: true,
        ..CALM
    });
    holds(Scenario {
        name: "cancel, 1 test, 3 faults",
        tests: 1,
        faults: 3,
        attempts: 1,
        cancel: true,
        ..CALM
    });
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn reopened_runs_survive_more() {
    holds(Scenario {
        name: "reopen, sequential, 2 faults",
        faults: 2,
        erring: true,
        epochs: 2,
        ..SEQUENTIAL
    });
    let cut = Scenario {
        tests: 1,
        attempts: 1,
        cancel: true,
        erring: true,
        epochs: 2,
        ..CALM
    };
    holds(Scenario {
        name: "reopen after cancel, mail, 1 fault",
        faults: 1,
        mail: true,
        ..cut
    });
    holds(Scenario {
        name: "3 epochs, 1 fault",
        faults: 1,
        epochs: 3,
        ..cut
    });
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn everything_at_once_with_one_fault() {
    holds(Scenario {
        name: "everything, 1 test, 1 fault",
        tests: 1,
        faults: 1,
        failing: true,
        erring: true,
        handing_back: true,
        cancel: true,
        deadline: true,
        pause: true,
        epochs: 2,
        mail: true,
        ..CALM
    });
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn two_runs_share_an_endpoint_through_faults() {
    let two = Scenario {
        runs: 2,
        endpoint: Some(1),
        ..CALM
    };
    holds(Scenario {
        name: "2 runs, 1 test each, failing and cancel, 1 fault",
        tests: 1,
        faults: 1,
        failing: true,
        cancel: true,
        ..two
    });
    holds(Scenario {
        name: "2 runs, 2 tests each, failing, no fault",
        failing: true,
        cancel: true,
        ..two
    });
    holds(Scenario {
        name: "2 runs, 2 tests each, 1 fault",
        faults: 1,
        attempts: 1,
        ..two
    });
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn calls_of_cancelled_runs_take_room_through_faults() {
    let cut = Scenario {
        tests: 1,
        attempts: 1,
        endpoint: Some(1),
        cancel: true,
        ..CALM
    };
    holds(Scenario {
        name: "2 runs, cancel, 1 fault",
        runs: 2,
        faults: 1,
        ..cut
    });
    holds(Scenario {
        name: "2 runs of 2 tenants, cancel, limit 1 or 2, 1 fault",
        runs: 2,
        tenants: 2,
        faults: 1,
        set: Some(Some(2)),
        ..cut
    });
    holds(Scenario {
        name: "reopen after cancel, 1 place, 2 faults",
        faults: 2,
        epochs: 2,
        ..cut
    });
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn held_and_limited_endpoints_survive_faults() {
    let two = Scenario {
        runs: 2,
        tests: 1,
        ..CALM
    };
    holds(Scenario {
        name: "hold, Retry-After, breaker, 2 runs of 2 tenants, no fault",
        tenants: 2,
        hold: true,
        breaker: true,
        failing: true,
        tells: &[Told::Congested, Told::Held, Told::Failed],
        ..two
    });
    holds(Scenario {
        name: "hold, Retry-After, 2 tests, 1 fault",
        tests: 2,
        runs: 1,
        hold: true,
        failing: true,
        faults: 1,
        tells: &[Told::Held],
        ..two
    });
    holds(Scenario {
        name: "rate 1, 2 runs, 1 place, 1 fault",
        rate: Some(1),
        endpoint: Some(1),
        faults: 1,
        ..two
    });
    holds(Scenario {
        name: "breaker, 2 runs, failing, 1 fault",
        breaker: true,
        failing: true,
        faults: 1,
        tells: &[Told::Failed],
        ..two
    });
}

#[test]
#[ignore = "takes minutes; `make model` runs it"]
fn shaped_and_limited_runs_survive_faults() {
    holds(Scenario {
        name: "a test after 2 others, group 1, erring, failing, 1 fault",
        tests: 3,
        needs: [&[], &[], &[0, 1]],
        group: Some(1),
        erring: true,
        failing: true,
        faults: 1,
        ..CALM
    });
    holds(Scenario {
        name: "a chain of 2, cancel, reopened, 1 fault",
        attempts: 1,
        needs: [&[], &[0], &[]],
        erring: true,
        cancel: true,
        epochs: 2,
        faults: 1,
        ..CALM
    });
    holds(Scenario {
        name: "budget 2 of 2 tests, failing, handing back, 2 faults",
        budget: Some(2),
        failing: true,
        handing_back: true,
        faults: 2,
        ..CALM
    });
    holds(Scenario {
        name: "fail fast, 2 runs, 2 tests each, 2 places, 1 fault",
        runs: 2,
        attempts: 1,
        erring: true,
        fail_fast: Some(1),
        endpoint: Some(2),
        faults: 1,
        ..CALM
    });
}
