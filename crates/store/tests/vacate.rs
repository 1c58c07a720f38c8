//! `vacate.lua`, and what becomes of a test whose endpoint has answered.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::configuration::Limits;
use testfleet_store::{
    Budget, ClaimedTest, Completion, Feedback, JobRef, Reaped, Released, Seat, Settled, Signal, Vacancy, Vacated,
};

use crate::support::limit::{AGE, interval_us, per_age, told};
use crate::support::{Bench, Spec, completion, endpoint_of, id, tests_of};

fn vacancy(test: &ClaimedTest, feedback: Feedback) -> Vacancy {
    Vacancy {
        run: test.run,
        index: test.index,
        fence: test.fence,
        feedback,
    }
}

async fn vacate(bench: &Bench, seat: &Seat, test: &ClaimedTest) {
    let accepted = told(Signal::Accepted, bench.base_ms);
    let words = bench.store.vacate(&seat.worker, &[vacancy(test, accepted)]).await;
    assert_eq!(words.unwrap(), [Vacated::Vacated]);
}

/// The result of a test whose slot was given back before.
fn after(test: &ClaimedTest, feedback: Feedback) -> Completion {
    Completion {
        feedback: feedback.told(),
        ..completion(test)
    }
}

async fn slots(bench: &Bench) -> Vec<String> {
    let mut slots: Vec<String> = bench.ask(&["SMEMBERS", &endpoint_of("api", "slots")]).await;
    slots.sort();
    slots
}

#[tokio::test]
async fn only_the_holder_with_its_fence_may_give_a_slot_back() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let (seat, other) = (bench.seat("w1").await, bench.seat("w2").await);
    let test = bench.claim_one(&seat).await;
    let right = vacancy(&test, told(Signal::Refused, bench.base_ms));
    let before = bench.look().await;
    for (worker, wrong, word) in [
        (
            &seat,
            Vacancy {
                fence: test.fence + 1,
                ..right.clone()
            },
            Vacated::Lost,
        ),
        (&other, right.clone(), Vacated::Lost),
        (
            &seat,
            Vacancy {
                index: 1,
                ..right.clone()
            },
            Vacated::Lost,
        ),
        (
            &seat,
            Vacancy {
                run: id(9),
                ..right.clone()
            },
            Vacated::Unknown,
        ),
    ] {
        assert_eq!(bench.store.vacate(&worker.worker, &[wrong]).await.unwrap(), [word]);
    }
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn the_slot_goes_and_everything_else_stays_with_the_holder() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1).limit(1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let before = bench.look().await;
    vacate(&bench, &seat, &test).await;
    let changed = bench.since(&before).await;
    assert_eq!(changed["endpoint:api:slots"], Value::Null);
    let owner = changed["run:R1:owners"]["0"].as_str().unwrap();
    assert!(owner.starts_with("w1|") && owner.ends_with("|answered"), "{owner}");
    let mut touched: Vec<&String> = changed.as_object().unwrap().keys().collect();
    touched.sort();
    // What a test takes is measured by what the attempt told.
    assert_eq!(
        touched,
        ["endpoint:api:limits", "endpoint:api:slots", "run:R1", "run:R1:owners"]
    );
    assert_eq!(
        changed["run:R1"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["cost_ms"]
    );
}

/// What it is for: a test that waits for its judge keeps nobody from the endpoint.
#[tokio::test]
async fn the_room_is_for_others_while_the_test_goes_on() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3).limit(1)).await;
    let seat = bench.seat("w1").await;
    let first = bench.claim_one(&seat).await;
    assert_eq!(bench.claim(&seat, 5).await.len(), 0);
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    vacate(&bench, &seat, &first).await;
    assert_eq!(bench.look().await["bell"], json!(["1"]));
    let second = bench.claim(&seat, 5).await;
    assert_eq!(tests_of(&second), [(1, 1)]);
    // The first ends, and has no slot any more that could be freed.
    let settled = bench
        .settle(&seat, &[after(&first, told(Signal::Accepted, bench.base_ms))])
        .await;
    assert_eq!(settled, [Settled::Stored]);
    assert_eq!(slots(&bench).await, [format!("{}/1", id(1))]);
    assert_eq!(bench.claim(&seat, 5).await.len(), 0);
    bench.complete(&seat, &second).await;
    assert_eq!(tests_of(&bench.claim(&seat, 5).await), [(1, 2)]);
}

/// `batch_concurrency` is of tests, not of calls.
#[tokio::test]
async fn the_cap_of_the_run_holds_until_the_result() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3).cap(1)).await;
    let seat = bench.seat("w1").await;
    let first = bench.claim_one(&seat).await;
    vacate(&bench, &seat, &first).await;
    assert_eq!(bench.claim(&seat, 5).await.len(), 0);
    bench.complete(&seat, &[first]).await;
    assert_eq!(bench.claim(&seat, 5).await.len(), 1);
}

/// F40: the answer of the first call was lost.
#[tokio::test]
async fn said_twice_it_is_taken_once() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2).limit(1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    vacate(&bench, &seat, &test).await;
    let before = bench.look().await;
    let refused = told(Signal::Refused, bench.base_ms);
    let words = bench.store.vacate(&seat.worker, &[vacancy(&test, refused)]).await;
    assert_eq!(words.unwrap(), [Vacated::Vacated]);
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_budget_is_charged_when_the_test_ends_and_once() {
    let bench = Bench::start().await;
    let budget = Budget {
        requests: Some(2),
        cost: Some(9.0),
        ..Budget::default()
    };
    bench.run(Spec::parallel(1, 5).budget(budget)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 5).await;
    assert_eq!(held.len(), 2);
    let feedback = Feedback {
        tokens: Some(30),
        cost: Some(0.25),
        ..told(Signal::Accepted, bench.base_ms)
    };
    let words = bench.store.vacate(&seat.worker, &[vacancy(&held[0], feedback)]).await;
    assert_eq!(words.unwrap(), [Vacated::Vacated]);
    let look = bench.look().await;
    assert_eq!(look["run:R1"]["spent_requests"], Value::Null);
    assert_eq!(look["endpoint:api:limits"]["token_mean"], "30.000");
    // One that was told of before and one that was not, in one call and again.
    let results = [
        after(&held[0], feedback),
        Completion {
            feedback,
            ..completion(&held[1])
        },
    ];
    assert_eq!(bench.settle(&seat, &results).await, [Settled::Stored, Settled::Stored]);
    assert_eq!(
        bench.settle(&seat, &results).await,
        [Settled::Already, Settled::Already]
    );
    let look = bench.look().await;
    let run = &look["run:R1"];
    assert_eq!(
        (&run["spent_requests"], &run["spent_tokens"], &run["spent_cost"]),
        (&json!("2"), &json!("60"), &json!("0.5"))
    );
    assert_eq!((&run["state"], &run["stop"]), (&json!("collecting"), &json!("budget")));
}

/// What was only claimed gives back what the claim took of a rate, once, and is no request of a budget.
#[tokio::test]
async fn of_what_calls_nothing_nothing_is_left_to_be_told() {
    let bench = Bench::start().await;
    let budget = Budget {
        requests: Some(9),
        ..Budget::default()
    };
    let limits = Limits {
        rate: Some(per_age(100, Some(1))),
        ..Limits::default()
    };
    bench.run_within(Spec::parallel(1, 2).budget(budget), &limits).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let taken = bench.amount("tat").await;
    let unsent = Feedback::default();
    let words = bench.store.vacate(&seat.worker, &[vacancy(&test, unsent)]).await;
    assert_eq!(words.unwrap(), [Vacated::Vacated]);
    let given_back = bench.amount("tat").await;
    assert!(
        (taken - given_back - interval_us(100)).abs() < 1.0,
        "{taken} {given_back}"
    );
    assert_eq!(bench.settle(&seat, &[after(&test, unsent)]).await, [Settled::Stored]);
    assert_eq!(bench.amount("tat").await, given_back);
    assert_eq!(bench.look().await["run:R1"]["spent_requests"], Value::Null);
}

/// The request of a lost worker is one of the budget, and that of a test which has told of it is not another.
#[tokio::test]
async fn whoever_takes_it_over_begins_anew() {
    let bench = Bench::start().await;
    let budget = Budget {
        requests: Some(9),
        ..Budget::default()
    };
    bench.run(Spec::parallel(1, 1).limit(1).budget(budget)).await;
    let (seat, other) = (bench.seat("w1").await, bench.seat("w2").await);
    let test = bench.claim_one(&seat).await;
    vacate(&bench, &seat, &test).await;
    bench.expire_worker("w1").await;
    assert!(matches!(bench.reap().await, Reaped::Reaped { jobs: 1, .. }));
    assert_eq!(bench.look().await["run:R1"]["spent_requests"], "1");
    let again = bench.claim_one(&other).await;
    assert_eq!((again.index, again.attempt, again.lost), (0, 2, 1));
    assert_eq!(slots(&bench).await.len(), 1);
    // The first holder comes back and has nothing to give.
    let before = bench.look().await;
    let late = vacancy(&test, told(Signal::Refused, bench.base_ms));
    assert_eq!(
        bench.store.vacate(&seat.worker, &[late]).await.unwrap(),
        [Vacated::Lost]
    );
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn it_can_be_handed_back_like_any_other() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1).limit(1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    vacate(&bench, &seat, &test).await;
    let job = JobRef::test(test.run, test.index, test.fence);
    let words = bench.store.hand_back(&seat, &[job], Duration::ZERO).await;
    assert_eq!(words.unwrap(), [Released::Released]);
    let again = bench.claim_one(&seat).await;
    assert_eq!((again.attempt, again.lost), (1, 0));
    assert_eq!(slots(&bench).await.len(), 1);
}

/// CANCEL-STOPS: nothing calls the endpoint, so nothing lingers there.
#[tokio::test]
async fn of_a_run_that_is_closed_no_call_lingers_when_its_endpoint_has_answered() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2).limit(2)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 2).await;
    vacate(&bench, &seat, &held[0]).await;
    bench.store.cancel(run).await.unwrap();
    let fence = bench.claim_control(&seat).await.fence;
    bench.fill(&seat, run, fence, &[0, 1]).await;
    let lingering: Vec<String> = bench
        .ask(&["ZRANGE", &endpoint_of("api", "lingering"), "0", "-1"])
        .await;
    assert_eq!(lingering, [format!("{run}/1|{}", held[1].fence)]);
    // The other call is answered now, which ends it.
    let accepted = told(Signal::Accepted, bench.base_ms);
    let words = bench.store.vacate(&seat.worker, &[vacancy(&held[1], accepted)]).await;
    assert_eq!(words.unwrap(), [Vacated::Lost]);
    let lingering: Vec<String> = bench
        .ask(&["ZRANGE", &endpoint_of("api", "lingering"), "0", "-1"])
        .await;
    assert!(lingering.is_empty(), "{lingering:?}");
}

/// LIMITS-HOLD: the limit grows while it is what limits, and tests that wait for a judge do not count as calls.
#[tokio::test]
async fn what_ends_later_is_no_call_that_the_limit_could_grow_by() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 20)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 10).await;
    let now = bench.store.now_ms().await.unwrap();
    let refused = Feedback {
        claimed_ms: now,
        busy: AGE,
        ..told(Signal::Refused, now)
    };
    bench
        .try_later(&seat, &held[9], Duration::from_secs(3600), refused)
        .await;
    let limit = |look: Value| look["endpoint:api:limits"]["limit"].clone();
    let before = limit(bench.look().await);
    assert_ne!(before, Value::Null);
    for test in &held[..9] {
        vacate(&bench, &seat, test).await;
    }
    let vacated = limit(bench.look().await);
    let results: Vec<Completion> = held[..9]
        .iter()
        .map(|test| after(test, told(Signal::Accepted, now)))
        .collect();
    bench.settle(&seat, &results).await;
    assert_eq!(limit(bench.look().await), vacated, "{before}");
}
