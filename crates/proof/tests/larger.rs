//! More of everything than a test run has time for: `make model`.

#![allow(clippy::print_stdout, missing_docs)]

use testfleet_proof::Scenario;

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
