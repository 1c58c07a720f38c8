//! Every promise holds in every state of these scenarios, and from every state the end can be reached. Each scenario is
//! small in its own way; `limit.rs` has those about limits, `larger.rs` more of everything.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use testfleet_proof::{Scenario, Verdict};

const CALM: Scenario = Scenario::calm("");
const SEQUENTIAL: Scenario = Scenario {
    sequential: true,
    cap: 1,
    ..CALM
};
const ONE: Scenario = Scenario { tests: 1, ..CALM };

/// Both ways of looking have to agree on how many states there are.
fn holds(scenario: Scenario) -> Verdict {
    let verdict = scenario.check();
    println!("{verdict}");
    assert!(verdict.broken.is_empty(), "{verdict}");
    assert_eq!(verdict.stuck(), 0, "{verdict}");
    assert!(verdict.ends, "{verdict}");
    assert_eq!(verdict.progress.as_ref().unwrap().states, verdict.states, "{verdict}");
    verdict
}

#[test]
fn a_parallel_run_survives_two_faults() {
    holds(Scenario {
        name: "parallel, 2 tests, 2 faults",
        faults: 2,
        failing: true,
        ..CALM
    });
}

#[test]
fn a_sequential_run_survives_two_faults() {
    holds(Scenario {
        name: "sequential, 2 tests, 2 faults",
        faults: 2,
        failing: true,
        ..SEQUENTIAL
    });
}

#[test]
fn three_tests_survive_a_fault() {
    holds(Scenario {
        name: "parallel, 3 tests, 1 fault",
        tests: 3,
        faults: 1,
        failing: true,
        ..CALM
    });
    holds(Scenario {
        name: "sequential, 3 tests, 1 fault",
        tests: 3,
        faults: 1,
        failing: true,
        ..SEQUENTIAL
    });
}

/// More losses than the test has attempts; and the same of its collection.
#[test]
fn one_test_and_its_collection_survive_three_faults() {
    holds(Scenario {
        name: "1 test, 1 attempt, 3 faults",
        tests: 1,
        attempts: 1,
        faults: 3,
        ..CALM
    });
}

#[test]
fn a_cancel_at_any_time_ends_the_run_once() {
    holds(Scenario {
        name: "cancel, 1 attempt, 1 fault",
        faults: 1,
        attempts: 1,
        cancel: true,
        ..CALM
    });
    holds(Scenario {
        name: "cancel, failing, no fault",
        failing: true,
        cancel: true,
        deadline: true,
        ..CALM
    });
    holds(Scenario {
        name: "cancel, sequential, 1 fault",
        faults: 1,
        cancel: true,
        ..SEQUENTIAL
    });
}

#[test]
fn a_deadline_at_any_time_ends_the_run_once() {
    holds(Scenario {
        name: "deadline, sequential, 1 fault",
        faults: 1,
        failing: true,
        deadline: true,
        ..SEQUENTIAL
    });
}

#[test]
fn a_mail_goes_out_once_and_once_more_for_each_lost_sender() {
    holds(Scenario {
        name: "mail, 1 test, 2 faults",
        tests: 1,
        faults: 2,
        mail: true,
        ..CALM
    });
}

#[test]
fn work_that_is_handed_back_is_not_lost() {
    holds(Scenario {
        name: "handing back, 1 fault",
        faults: 1,
        failing: true,
        handing_back: true,
        ..CALM
    });
    holds(Scenario {
        name: "handing back, sequential, 1 fault",
        faults: 1,
        failing: true,
        handing_back: true,
        ..SEQUENTIAL
    });
}

#[test]
fn nothing_of_a_paused_run_starts_and_it_goes_on_when_it_is_resumed() {
    holds(Scenario {
        name: "pause, 1 fault",
        faults: 1,
        failing: true,
        pause: true,
        ..CALM
    });
    holds(Scenario {
        name: "pause and cancel, sequential, no fault",
        failing: true,
        pause: true,
        cancel: true,
        ..SEQUENTIAL
    });
}

#[test]
fn a_run_that_is_reopened_ends_once_more_with_new_results() {
    holds(Scenario {
        name: "reopen, 1 fault",
        faults: 1,
        erring: true,
        epochs: 2,
        ..CALM
    });
    holds(Scenario {
        name: "reopen, sequential, 1 fault",
        faults: 1,
        erring: true,
        epochs: 2,
        ..SEQUENTIAL
    });
    holds(Scenario {
        name: "reopen, 1 test, 2 faults",
        tests: 1,
        faults: 2,
        erring: true,
        epochs: 2,
        ..CALM
    });
    holds(Scenario {
        name: "reopen, 1 test, mail, 1 fault",
        tests: 1,
        faults: 1,
        erring: true,
        epochs: 2,
        mail: true,
        ..CALM
    });
}

#[test]
fn a_run_that_was_cut_short_can_be_reopened() {
    let cut = Scenario {
        cancel: true,
        epochs: 2,
        ..CALM
    };
    holds(Scenario {
        name: "reopen after cancel, no fault",
        erring: true,
        ..cut
    });
    holds(Scenario {
        name: "reopen after cancel, 1 test, 1 fault",
        tests: 1,
        attempts: 1,
        faults: 1,
        ..cut
    });
}

/// A model in which something cannot happen proves nothing about it.
#[test]
fn every_kind_of_step_is_taken() {
    let whatever_people_do = Scenario {
        name: "1 worker, 1 test, no fault",
        workers: 1,
        tests: 1,
        failing: true,
        erring: true,
        handing_back: true,
        cancel: true,
        deadline: true,
        pause: true,
        epochs: 2,
        mail: true,
        ..CALM
    };
    let mut kinds = holds(whatever_people_do).progress.unwrap().kinds;
    kinds.extend(
        holds(Scenario {
            name: "parallel, 1 fault",
            faults: 1,
            ..CALM
        })
        .progress
        .unwrap()
        .kinds,
    );
    kinds.extend(
        holds(Scenario {
            name: "sequential, 1 fault",
            faults: 1,
            ..SEQUENTIAL
        })
        .progress
        .unwrap()
        .kinds,
    );
    kinds.extend(
        holds(Scenario {
            name: "1 worker, 1 test, limits and holds, no fault",
            workers: 1,
            set: Some(None),
            hold: true,
            cancel: true,
            rate: Some(1),
            endpoint: Some(1),
            ..ONE
        })
        .progress
        .unwrap()
        .kinds,
    );
    kinds.extend(
        holds(Scenario {
            name: "1 test, cancel, 1 attempt, 1 fault",
            attempts: 1,
            faults: 1,
            cancel: true,
            endpoint: Some(1),
            ..ONE
        })
        .progress
        .unwrap()
        .kinds,
    );
    // All but `Announce`, which only a mutation has, and `Requeue`, which has nothing to do.
    kinds.extend(
        holds(Scenario {
            name: "a recovery round",
            rounds: 1,
            erring: true,
            ..ONE
        })
        .progress
        .unwrap()
        .kinds,
    );
    assert_eq!(kinds.len(), 34);
}

/// A round is opened chunk by chunk by whoever holds the collection, and its answers may be late, lost or never come.
#[test]
fn recovery_rounds_survive_a_fault() {
    let rounds = Scenario {
        name: "parallel, a recovery round, 1 fault",
        rounds: 1,
        erring: true,
        faults: 1,
        ..CALM
    };
    holds(rounds);
    holds(Scenario {
        name: "sequential, a recovery round, 1 fault",
        sequential: true,
        cap: 1,
        ..rounds
    });
    holds(Scenario {
        name: "one test, two recovery rounds, cancelled, mailed, 1 fault",
        rounds: 2,
        cancel: true,
        mail: true,
        tests: 1,
        ..rounds
    });
    holds(Scenario {
        name: "a recovery round of tests that depend on each other, with a budget, tried again by somebody",
        needs: [&[], &[0], &[]],
        budget: Some(3),
        rounds: 1,
        epochs: 3,
        faults: 0,
        ..rounds
    });
}
