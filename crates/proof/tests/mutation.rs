//! The test of the tests: a rule is left out, and the promise that needs it has to break. With the rule it holds in the
//! same scenario.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use testfleet_proof::promise::{
    ATTEMPTS_BOUNDED, BUDGET_HOLDS, COLLECT_COMPLETE, COLLECTION_IS_QUEUED, COUNTDOWN_EXACT, DEPENDENCY_ORDER,
    ENDPOINT_IS_OFFERED, HOLD_HOLDS, LIMITS_HOLD, NO_LOST_TEST, NO_OVERLAP, NO_PHANTOM, NOBODY_IS_OFFERED,
    RUN_IS_PLACED, SEQUENTIAL_ORDER, ZOMBIE_HARMLESS,
};
use testfleet_proof::{Mutation, Scenario, Told};

const CALM: Scenario = Scenario::calm("");
const SEQUENTIAL: Scenario = Scenario {
    sequential: true,
    cap: 1,
    ..CALM
};
const ONE: Scenario = Scenario { tests: 1, ..CALM };
/// Two runs of one test each, with one place at their endpoint.
const TWO: Scenario = Scenario {
    runs: 2,
    endpoint: Some(1),
    attempts: 1,
    ..ONE
};

fn breaks(scenario: Scenario, mutations: &[Mutation], promise: &'static str) {
    let sound = scenario.find(promise);
    assert!(!sound.breaks(promise), "with every rule: {sound}");
    let broken = scenario.without(mutations).find(promise);
    println!(
        "{mutations:?} breaks {promise} after {} states; with it {} states hold",
        broken.states, sound.states
    );
    assert!(
        broken.breaks(promise),
        "{mutations:?} is not noticed by {promise}: {broken}"
    );
}

/// The end cannot be reached from everywhere any more.
fn strands(scenario: Scenario, mutations: &[Mutation]) {
    let sound = scenario.check();
    assert_eq!(sound.stuck(), 0, "with every rule: {sound}");
    let broken = scenario.without(mutations).check();
    println!("{mutations:?} strands {} of {} states", broken.stuck(), broken.states);
    assert!(broken.stuck() > 0, "{mutations:?} is not noticed: {broken}");
}

#[test]
fn a_write_has_to_compare_the_fence() {
    let scenario = Scenario {
        faults: 1,
        failing: true,
        ..ONE
    };
    breaks(scenario, &[Mutation::NoFence], ZOMBIE_HARMLESS);
}

#[test]
fn a_right_has_to_end_with_its_expiry_and_not_with_the_next_claim() {
    breaks(
        Scenario { faults: 1, ..ONE },
        &[Mutation::FenceOnlyAtClaim],
        ZOMBIE_HARMLESS,
    );
}

#[test]
fn the_countdown_has_to_follow_from_the_results() {
    breaks(
        Scenario { faults: 1, ..CALM },
        &[Mutation::CountdownPerCompletion],
        COUNTDOWN_EXACT,
    );
}

/// A crash in between leaves a run that nobody ends.
#[test]
fn the_last_result_and_the_collection_have_to_be_one_step() {
    let scenario = Scenario { faults: 1, ..ONE };
    strands(scenario, &[Mutation::CollectionByCaller]);
    breaks(scenario, &[Mutation::CollectionByCaller], COLLECTION_IS_QUEUED);
}

#[test]
fn a_collection_has_to_compare_its_fence() {
    breaks(
        Scenario { faults: 1, ..ONE },
        &[Mutation::CollectWithoutFence],
        ZOMBIE_HARMLESS,
    );
}

/// A commit of the epoch before arrives while the next one is being collected, and tells old results.
#[test]
fn a_collection_of_an_old_epoch_must_not_end_a_new_one() {
    let scenario = Scenario {
        faults: 1,
        erring: true,
        epochs: 2,
        attempts: 1,
        ..ONE
    };
    breaks(scenario, &[Mutation::CollectWithoutFence], COLLECT_COMPLETE);
}

/// A collection that was taken for lost opens a round of a run that somebody else is about to end.
#[test]
fn opening_a_round_has_to_compare_the_fence() {
    let scenario = Scenario {
        faults: 1,
        erring: true,
        rounds: 1,
        ..ONE
    };
    breaks(scenario, &[Mutation::RecoverWithoutFence], ZOMBIE_HARMLESS);
}

#[test]
fn opening_a_round_has_to_end_the_collection() {
    let scenario = Scenario {
        erring: true,
        rounds: 1,
        ..ONE
    };
    breaks(scenario, &[Mutation::RecoverKeepsCollection], COLLECTION_IS_QUEUED);
}

#[test]
fn a_cancelled_run_has_to_leave_the_queue() {
    let scenario = Scenario { cancel: true, ..CALM };
    breaks(scenario, &[Mutation::CancelLeavesReady], RUN_IS_PLACED);
}

#[test]
fn one_of_the_queue_and_the_claim_has_to_know_that_a_run_is_cancelled() {
    let scenario = Scenario { cancel: true, ..CALM };
    breaks(
        scenario,
        &[Mutation::CancelLeavesReady, Mutation::ClaimIgnoresState],
        NO_PHANTOM,
    );
}

#[test]
fn a_result_has_to_release_the_next_test_of_a_sequential_run() {
    let scenario = Scenario {
        failing: true,
        ..SEQUENTIAL
    };
    breaks(scenario, &[Mutation::ReleasedAtClaim], SEQUENTIAL_ORDER);
}

/// A live worker is given a job and does not know of it.
#[test]
fn a_worker_has_to_reconcile_after_a_lost_answer() {
    strands(Scenario { faults: 1, ..CALM }, &[Mutation::NoReconcile]);
}

/// The same by a claim that is executed after its sender has reconciled.
#[test]
fn a_claim_has_to_compare_its_epoch() {
    strands(Scenario { faults: 1, ..CALM }, &[Mutation::NoEpoch]);
}

#[test]
fn a_retry_has_to_free_its_slot() {
    let scenario = Scenario { failing: true, ..CALM };
    breaks(scenario, &[Mutation::RetryKeepsSlot], LIMITS_HOLD);
}

#[test]
fn a_reopened_test_has_to_lose_its_old_result() {
    strands(
        Scenario {
            erring: true,
            epochs: 2,
            ..CALM
        },
        &[Mutation::ReopenKeepsResults],
    );
}

/// Else a test that was never claimed is claimed twice: again, and as a fresh one.
#[test]
fn a_reopened_run_has_no_fresh_tests() {
    let scenario = Scenario {
        cancel: true,
        erring: true,
        epochs: 2,
        ..CALM
    };
    breaks(scenario, &[Mutation::ReopenKeepsCursor], NO_LOST_TEST);
}

#[test]
fn reopened_tests_have_to_be_queued_in_order() {
    let scenario = Scenario {
        erring: true,
        epochs: 2,
        ..SEQUENTIAL
    };
    breaks(scenario, &[Mutation::ReopenInAnyOrder], SEQUENTIAL_ORDER);
}

#[test]
fn a_lost_worker_has_to_cost_an_attempt() {
    let scenario = Scenario {
        faults: 1,
        attempts: 1,
        ..ONE
    };
    breaks(scenario, &[Mutation::LossUncounted], ATTEMPTS_BOUNDED);
}

#[test]
fn a_worker_has_to_let_go_of_sequential_tests_before_its_lease_ends() {
    breaks(
        Scenario {
            faults: 1,
            ..SEQUENTIAL
        },
        &[Mutation::NoSelfRelease],
        NO_OVERLAP,
    );
}

/// Frozen with the answer of a claim on its way to it, a worker would start a test that is somebody else's by now.
#[test]
fn a_late_answer_must_not_start_a_test() {
    let scenario = Scenario {
        faults: 2,
        ..SEQUENTIAL
    };
    breaks(scenario, &[Mutation::LateAnswerStarts], NO_OVERLAP);
    breaks(Scenario { faults: 2, ..ONE }, &[Mutation::LateAnswerStarts], NO_PHANTOM);
}

/// It hands back what its sender has claimed since, and is working on.
#[test]
fn a_reconciliation_that_was_overtaken_must_do_nothing() {
    breaks(
        Scenario {
            faults: 2,
            ..SEQUENTIAL
        },
        &[Mutation::ReconcileAnyEpoch],
        NO_OVERLAP,
    );
}

#[test]
fn a_paused_run_must_not_be_placed() {
    let scenario = Scenario {
        pause: true,
        failing: true,
        ..CALM
    };
    breaks(scenario, &[Mutation::PlaceIgnoresPause], NO_PHANTOM);
}

#[test]
fn whoever_frees_a_slot_has_to_offer_the_endpoint() {
    let scenario = Scenario {
        handing_back: true,
        ..TWO
    };
    strands(scenario, &[Mutation::FreeForgetsOffer]);
    breaks(scenario, &[Mutation::FreeForgetsOffer], ENDPOINT_IS_OFFERED);
}

#[test]
fn a_slot_that_is_given_back_before_the_result_has_to_be_offered() {
    let scenario = Scenario { judged: true, ..TWO };
    breaks(scenario, &[Mutation::VacateForgetsOffer], ENDPOINT_IS_OFFERED);
}

#[test]
fn a_slot_must_not_be_given_back_while_the_call_goes_on() {
    let scenario = Scenario { judged: true, ..TWO };
    breaks(scenario, &[Mutation::VacateEarly], LIMITS_HOLD);
}

#[test]
fn a_slot_may_be_given_back_by_its_holder_alone() {
    let scenario = Scenario {
        judged: true,
        faults: 1,
        ..ONE
    };
    breaks(scenario, &[Mutation::NoFence], ZOMBIE_HARMLESS);
}

#[test]
fn a_limit_that_is_raised_has_to_offer_the_endpoint() {
    let scenario = Scenario {
        set: Some(Some(2)),
        ..TWO
    };
    breaks(scenario, &[Mutation::RaiseForgetsOffer], ENDPOINT_IS_OFFERED);
}

#[test]
fn a_hold_that_is_released_has_to_offer_the_endpoint() {
    let scenario = Scenario { hold: true, ..ONE };
    breaks(scenario, &[Mutation::ReleaseForgetsOffer], ENDPOINT_IS_OFFERED);
}

#[test]
fn an_endpoint_whose_time_has_come_has_to_be_offered() {
    let held = Scenario {
        failing: true,
        tells: &[Told::Held],
        ..ONE
    };
    strands(held, &[Mutation::WakeForgetsOffer]);
    breaks(held, &[Mutation::WakeForgetsOffer], ENDPOINT_IS_OFFERED);
    let rated = Scenario { rate: Some(1), ..CALM };
    strands(rated, &[Mutation::WakeForgetsOffer]);
}

/// The worker that is being collected from has crashed: nobody else would offer the room that it leaves.
#[test]
fn a_collection_that_frees_slots_has_to_offer_the_endpoint() {
    let scenario = Scenario { cancel: true, ..TWO };
    breaks(scenario, &[Mutation::FillForgetsOffer], ENDPOINT_IS_OFFERED);
}

#[test]
fn a_call_that_stopped_has_to_offer_its_endpoint() {
    let scenario = Scenario { cancel: true, ..TWO };
    breaks(scenario, &[Mutation::StopForgetsOffer], ENDPOINT_IS_OFFERED);
}

#[test]
fn an_endpoint_at_which_nobody_waits_must_not_be_waited_for() {
    let scenario = Scenario { cancel: true, ..TWO };
    breaks(scenario, &[Mutation::LineLeavesWake], NOBODY_IS_OFFERED);
}

/// Its result came late, after it had begun a new epoch.
#[test]
fn a_run_whose_next_test_is_not_claimed_has_to_go_in_line() {
    let scenario = Scenario {
        faults: 1,
        ..SEQUENTIAL
    };
    breaks(scenario, &[Mutation::ComerForgotten], RUN_IS_PLACED);
    strands(scenario, &[Mutation::ComerForgotten]);
}

#[test]
fn what_is_taken_from_a_lost_worker_has_to_leave_its_slot() {
    let scenario = Scenario { faults: 1, ..TWO };
    breaks(scenario, &[Mutation::ReapKeepsSlot], LIMITS_HOLD);
    strands(scenario, &[Mutation::ReapKeepsSlot]);
}

#[test]
fn calls_of_a_cancelled_run_have_to_take_room_until_they_stop() {
    let scenario = Scenario { cancel: true, ..TWO };
    breaks(scenario, &[Mutation::LingeringUncounted], LIMITS_HOLD);
}

/// Nobody would say that the call of a crashed worker stopped.
#[test]
fn calls_must_not_linger_for_ever() {
    let scenario = Scenario {
        runs: 1,
        faults: 1,
        cancel: true,
        epochs: 2,
        ..TWO
    };
    strands(scenario, &[Mutation::LingeringForever]);
}

#[test]
fn a_budget_of_tokens_has_to_wait_for_calls_that_linger() {
    let scenario = Scenario {
        endpoint: None,
        tokens: true,
        cancel: true,
        ..TWO
    };
    breaks(scenario, &[Mutation::TokensForgetLingering], ENDPOINT_IS_OFFERED);
}

#[test]
fn a_result_that_is_told_twice_has_to_release_its_dependents_once() {
    let scenario = Scenario {
        tests: 3,
        attempts: 1,
        needs: [&[], &[], &[0, 1]],
        faults: 1,
        ..CALM
    };
    breaks(scenario, &[Mutation::DependencyCountedTwice], DEPENDENCY_ORDER);
}

#[test]
fn a_result_that_stops_its_run_has_to_free_its_slot() {
    let scenario = Scenario {
        tests: 2,
        erring: true,
        fail_fast: Some(1),
        ..TWO
    };
    breaks(scenario, &[Mutation::StopKeepsSlot], LIMITS_HOLD);
    strands(scenario, &[Mutation::StopKeepsSlot]);
}

#[test]
fn a_claim_has_to_look_whether_its_endpoint_is_held() {
    breaks(Scenario { hold: true, ..ONE }, &[Mutation::HoldIgnored], HOLD_HOLDS);
}

#[test]
fn a_test_has_to_pass_the_room_in_its_group_on() {
    let scenario = Scenario { group: Some(1), ..CALM };
    strands(scenario, &[Mutation::GroupForgetsNext]);
}

#[test]
fn the_request_of_a_lost_worker_has_to_be_one_of_the_budget() {
    let scenario = Scenario {
        faults: 1,
        budget: Some(1),
        ..ONE
    };
    breaks(scenario, &[Mutation::LossUnspent], BUDGET_HOLDS);
}

#[test]
fn a_run_whose_budget_is_used_up_has_to_end() {
    let scenario = Scenario {
        budget: Some(1),
        ..CALM
    };
    strands(scenario, &[Mutation::SpentNeverEnds]);
}
