//! Every promise holds in every state of these scenarios, and from every state the end can be reached. Each scenario is
//! small in its own way; `larger.rs` has more of everything.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use testfleet_proof::{Scenario, Told, Verdict};

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
        name: "cancel, failing, 1 fault",
        faults: 1,
        failing: true,
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

/// Two runs of one test each, with one place at their endpoint.
const TWO: Scenario = Scenario {
    runs: 2,
    tests: 1,
    endpoint: Some(1),
    ..CALM
};

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
    assert_eq!(kinds.len(), 33);
}
