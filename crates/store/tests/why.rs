//! `why.lua`, and what is made of it: each reason by the transitions that bring it about. The first reason is what claims meet
//! first.

use std::time::Duration;

use testfleet_model::RunState;
use testfleet_model::configuration::{Breaker, Limits, Rate};
use testfleet_store::{
    Activated, Arrangement, Budget, Cancelled, Completion, EndpointSettings, Feedback, FleetSettings, HoldUntil, Needs,
    NewRun, Paused, Reason, Retry, RunPolicy, Seat, Setting, Signal, Why, WorkerInfo,
};

use crate::support::bench::limits;
use crate::support::{Bench, JOB_LEASE, STAGING, Spec, WORKER_LEASE, completion, id};

const HOUR: Duration = Duration::from_secs(3600);

/// A worker that takes as many tests at once.
async fn worker(bench: &Bench, name: &str, concurrency: u32) -> Seat {
    let info = WorkerInfo {
        name: name.to_owned(),
        concurrency,
        ..WorkerInfo::default()
    };
    bench.store.register(name, WORKER_LEASE, &info).await.unwrap().0
}

async fn why(bench: &Bench, run: u128, index: impl Into<Option<u32>>) -> Why {
    bench.store.why(id(run), index.into()).await.unwrap().unwrap()
}

async fn reasons(bench: &Bench, run: u128, index: impl Into<Option<u32>>) -> Vec<Reason> {
    why(bench, run, index).await.reasons
}

async fn first(bench: &Bench, run: u128, index: impl Into<Option<u32>>) -> Reason {
    reasons(bench, run, index).await.remove(0)
}

/// A run with limits of its endpoint, a policy and a shape.
async fn shaped(bench: &Bench, spec: &Spec<'_>, policy: RunPolicy<'_>, limits: &Limits, shape: &[Arrangement<'_>]) {
    let run = NewRun {
        policy,
        ..spec.new_run()
    };
    bench.store.create(&run).await.unwrap();
    let payloads: Vec<String> = (0..spec.total).map(|index| format!("test {index}")).collect();
    bench.store.stage(run.id, 0, &payloads, STAGING).await.unwrap();
    for arrangement in shape {
        bench.store.arrange(run.id, STAGING, *arrangement).await.unwrap();
    }
    let activated = bench
        .store
        .activate(run.id, spec.total, 2 * HOUR, limits)
        .await
        .unwrap();
    assert_eq!(activated, Activated::Activated);
}

async fn limited(bench: &Bench, limits: &Limits) {
    shaped(bench, &Spec::parallel(1, 9), RunPolicy::default(), limits, &[]).await;
}

fn told(signal: Signal, claimed_ms: i64) -> Feedback {
    Feedback {
        signal,
        claimed_ms,
        busy: Duration::from_millis(10),
        ..Feedback::default()
    }
}

#[tokio::test]
async fn of_a_run_that_is_not_there_nothing_is_said() {
    let bench = Bench::start().await;
    assert_eq!(bench.store.why(id(1), None).await.unwrap(), None);
}

/// ONE-TRUTH: asking changes nothing.
#[tokio::test]
async fn asking_changes_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3).limit(1)).await;
    let seat = worker(&bench, "w1", 5).await;
    bench.claim(&seat, 1).await;
    let before = bench.look().await;
    for index in [None, Some(0), Some(2), Some(99)] {
        bench.store.why(id(1), index).await.unwrap().unwrap();
    }
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_test_with_its_result_is_done() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    let seat = worker(&bench, "w1", 5).await;
    let test = bench.claim_one(&seat).await;
    let done = Completion {
        result: br#"{"status":"Pass"}"#.to_vec(),
        ..completion(&test)
    };
    bench.settle(&seat, &[done]).await;
    let expected = Reason::Done {
        status: "Pass".to_owned(),
    };
    assert_eq!(reasons(&bench, 1, 0).await, [expected]);
}

#[tokio::test]
async fn a_test_that_a_worker_has_is_running() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let seat = worker(&bench, "w|1", 5).await;
    bench.claim_one(&seat).await;
    let why = why(&bench, 1, 0).await;
    let [
        Reason::Running {
            worker,
            since_ms,
            attempt: 1,
        },
    ] = &why.reasons[..]
    else {
        panic!("{why:?}");
    };
    assert_eq!((worker.as_str(), why.in_flight), ("w|1", 1));
    assert!((bench.base_ms..=why.now_ms).contains(since_ms));
    assert_eq!(reasons(&bench, 1, None).await, [Reason::AllRunning { in_flight: 1 }]);
}

#[tokio::test]
async fn a_test_that_the_run_does_not_have_is_said_to_be_none() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    assert_eq!(reasons(&bench, 1, 3).await, [Reason::NoSuchTest]);
}

#[tokio::test]
async fn a_run_that_is_being_submitted_is_preparing() {
    let bench = Bench::start().await;
    bench.staged(&Spec::parallel(1, 3)).await;
    assert_eq!(reasons(&bench, 1, 0).await, [Reason::Preparing]);
}

#[tokio::test]
async fn a_closed_run_is_collecting_and_then_ended() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = worker(&bench, "w1", 5).await;
    assert_eq!(bench.store.cancel(run).await.unwrap(), Cancelled::Cancelled);
    let cut = Reason::Collecting {
        stop: Some("cancelled".to_owned()),
    };
    for index in [Some(0), None] {
        assert_eq!(reasons(&bench, 1, index).await, std::slice::from_ref(&cut));
    }
    let job = bench.claim_control(&seat).await;
    bench.fill(&seat, run, job.fence, &[0]).await;
    bench.collect(&seat, run, job.fence, None).await;
    let ended = Reason::Ended {
        state: RunState::Completed,
    };
    assert_eq!(reasons(&bench, 1, None).await, [ended]);
}

#[tokio::test]
async fn a_run_whose_tests_all_have_results_waits_for_its_summary() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let seat = worker(&bench, "w1", 5).await;
    let held = bench.claim(&seat, 1).await;
    bench.complete(&seat, &held).await;
    assert_eq!(reasons(&bench, 1, None).await, [Reason::Collecting { stop: None }]);
}

#[tokio::test]
async fn a_damaged_run_is_quarantined() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let seat = worker(&bench, "w1", 5).await;
    let () = bench.ask(&["HSET", &bench.store.keys().run(run), "cap", "x"]).await;
    assert!(bench.claim(&seat, 1).await.is_empty());
    let Reason::Quarantined { why } = first(&bench, 1, 0).await else {
        panic!("it is not");
    };
    assert!(why.contains("cap"), "{why}");
}

/// SKEW-SAFE
#[tokio::test]
async fn a_run_of_another_version_is_for_others() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let () = bench.ask(&["HSET", &bench.store.keys().run(run), "format", "99"]).await;
    let expected = Reason::OtherFormat {
        format: "99".to_owned(),
        ours: testfleet_store::RUN_FORMAT,
    };
    assert_eq!(first(&bench, 1, 0).await, expected);
}

#[tokio::test]
async fn a_paused_run_is_paused_and_what_else_keeps_it_comes_after() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    assert_eq!(bench.store.pause(run).await.unwrap(), Paused::Paused);
    let reasons = reasons(&bench, 1, 0).await;
    assert!(
        matches!(reasons[..], [Reason::Paused { since_ms }, Reason::NoWorker] if since_ms >= bench.base_ms),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_test_that_failed_waits_for_its_next_attempt() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = worker(&bench, "w1", 5).await;
    let test = bench.claim_one(&seat).await;
    retry(&bench, &seat, 0, test.fence, HOUR, Feedback::default()).await;
    let due: f64 = bench.ask(&["ZSCORE", &bench.key("delayed"), &format!("{run}/0")]).await;
    let of_the_test = Reason::RetryDelay {
        until_ms: Some(due as i64),
        attempts: 1,
        tests: 1,
    };
    assert_eq!(reasons(&bench, 1, 0).await, [of_the_test]);
    let of_the_run = Reason::RetryDelay {
        until_ms: Some(due as i64),
        attempts: 0,
        tests: 1,
    };
    assert_eq!(reasons(&bench, 1, None).await, [of_the_run]);
}

async fn retry(bench: &Bench, seat: &Seat, index: u32, fence: u64, delay: Duration, feedback: Feedback) {
    let retry = Retry {
        run: id(1),
        index,
        fence,
        delay,
        feedback,
    };
    bench.store.retry(seat, &[retry]).await.unwrap();
}

#[tokio::test]
async fn a_test_waits_for_those_it_depends_on_and_is_lost_when_one_did_not_pass() {
    let bench = Bench::start().await;
    let needs = [Needs {
        index: 2,
        dependencies: vec![0, 1],
        always: false,
    }];
    let shape = [
        Arrangement::Order {
            before: 0,
            digest: 1,
            indices: &[0, 1],
        },
        Arrangement::Needs(&needs),
        Arrangement::Dependents(&[(0, vec![2]), (1, vec![2])]),
    ];
    let spec = Spec::parallel(1, 3);
    shaped(&bench, &spec, RunPolicy::default(), &Limits::default(), &shape).await;
    let waits = |missing: &[u32]| Reason::Dependency {
        missing: missing.to_vec(),
        tests: 1,
    };
    assert_eq!(reasons(&bench, 1, 2).await, [waits(&[0, 1])]);
    let seat = worker(&bench, "w1", 5).await;
    let held = bench.claim(&seat, 2).await;
    assert_eq!(
        reasons(&bench, 1, None).await,
        [
            Reason::AllRunning { in_flight: 2 },
            Reason::Dependency {
                missing: Vec::new(),
                tests: 1
            }
        ]
    );
    bench.complete(&seat, &held[..1]).await;
    assert_eq!(reasons(&bench, 1, 2).await, [waits(&[1])]);
    let failed = Completion {
        status: testfleet_model::Status::Fail,
        ..completion(&held[1])
    };
    bench.settle(&seat, &[failed]).await;
    assert_eq!(first(&bench, 1, 2).await, Reason::DependencyFailed { dependency: 1 });
}

/// SEQUENTIAL-ORDER
#[tokio::test]
async fn a_test_of_a_sequential_run_waits_for_the_one_whose_turn_it_is() {
    let bench = Bench::start().await;
    bench.run(Spec::sequential(1, 5)).await;
    let seat = worker(&bench, "w1", 5).await;
    let order = |before, tests_before| Reason::Sequential {
        before: Some(before),
        tests_before,
    };
    assert_eq!(first(&bench, 1, 0).await, Reason::Ready);
    assert_eq!(first(&bench, 1, 3).await, order(0, 3));
    let held = bench.claim(&seat, 5).await;
    assert_eq!(held.len(), 1);
    assert_eq!(first(&bench, 1, 3).await, order(0, 3));
    assert_eq!(first(&bench, 1, None).await, order(0, 1));
    bench.complete(&seat, &held).await;
    assert_eq!(first(&bench, 1, 3).await, order(1, 2));
    let held = bench.claim(&seat, 1).await;
    retry(&bench, &seat, 1, held[0].fence, HOUR, Feedback::default()).await;
    assert_eq!(first(&bench, 1, 3).await, order(1, 2));
    assert!(matches!(
        first(&bench, 1, 1).await,
        Reason::RetryDelay { attempts: 1, .. }
    ));
}

#[tokio::test]
async fn a_test_waits_for_room_in_its_group() {
    let bench = Bench::start().await;
    let shape = [
        Arrangement::Order {
            before: 0,
            digest: 1,
            indices: &[0, 1],
        },
        Arrangement::Groups(&[("login", 1)]),
        Arrangement::Grouped(&[(0, "login"), (1, "login")]),
    ];
    let spec = Spec::parallel(1, 2);
    shaped(&bench, &spec, RunPolicy::default(), &Limits::default(), &shape).await;
    let seat = worker(&bench, "w1", 5).await;
    assert_eq!(bench.claim(&seat, 2).await.len(), 1);
    let full = Reason::Group {
        group: "login".to_owned(),
        in_flight: 1,
        max: 1,
    };
    assert_eq!(reasons(&bench, 1, 1).await, [full]);
}

#[tokio::test]
async fn a_run_has_as_many_tests_in_flight_as_it_may() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 5).cap(2)).await;
    let seat = worker(&bench, "w1", 9).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 2);
    let full = Reason::RunCap { in_flight: 2, max: 2 };
    assert_eq!(first(&bench, 1, 2).await, full);
    assert_eq!(reasons(&bench, 1, None).await, [full]);
}

#[tokio::test]
async fn a_run_has_used_up_its_budget() {
    let bench = Bench::start().await;
    let policy = RunPolicy {
        budget: Budget {
            requests: Some(2),
            ..Budget::default()
        },
        ..RunPolicy::default()
    };
    shaped(&bench, &Spec::parallel(1, 5), policy, &Limits::default(), &[]).await;
    let seat = worker(&bench, "w1", 9).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 2);
    let spent = Reason::Budget {
        budget: "requests",
        spent: 2.0,
        of: 2.0,
    };
    assert_eq!(first(&bench, 1, 4).await, spent);
}

#[tokio::test]
async fn an_operator_holds_the_endpoint_for_a_time_or_until_it_is_released() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let open = HoldUntil::Released;
    bench.store.hold_endpoint("api", open, "deployment").await.unwrap();
    let held = Reason::Hold {
        until_ms: None,
        why: "deployment".to_owned(),
    };
    assert_eq!(first(&bench, 1, 0).await, held);
    bench
        .store
        .hold_endpoint("api", HoldUntil::After(HOUR), "")
        .await
        .unwrap();
    let Reason::Hold {
        until_ms: Some(until), ..
    } = first(&bench, 1, None).await
    else {
        panic!("it is not held");
    };
    assert!(until > bench.base_ms + 3_590_000, "{until}");
}

#[tokio::test]
async fn an_endpoint_that_asked_to_wait_is_waited_for() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let seat = worker(&bench, "w1", 9).await;
    let test = bench.claim_one(&seat).await;
    let feedback = Feedback {
        hold: Some(HOUR),
        ..told(Signal::Refused, bench.store.now_ms().await.unwrap())
    };
    retry(&bench, &seat, 0, test.fence, Duration::from_secs(1), feedback).await;
    let reason = first(&bench, 1, 1).await;
    assert!(
        matches!(reason, Reason::RetryAfter { until_ms } if until_ms > bench.base_ms + 3_590_000),
        "{reason:?}"
    );
}

#[tokio::test]
async fn a_breaker_is_open_and_then_lets_one_call_decide() {
    let bench = Bench::start().await;
    let breaker = Some(Breaker {
        failures: 1,
        cool_down: Duration::from_secs(60),
    });
    limited(
        &bench,
        &Limits {
            breaker,
            ..Limits::default()
        },
    )
    .await;
    let seat = worker(&bench, "w1", 9).await;
    let test = bench.claim_one(&seat).await;
    let failed = told(Signal::Failed, bench.base_ms);
    retry(&bench, &seat, 0, test.fence, HOUR, failed).await;
    let reason = first(&bench, 1, 1).await;
    assert!(
        matches!(reason, Reason::Breaker { until_ms: Some(until) } if until > bench.base_ms),
        "{reason:?}"
    );
    // It has been open for long enough.
    let limits = bench.store.keys().endpoint("api");
    let () = bench.ask(&["HSET", &limits, "open_until", "1"]).await;
    let () = bench.ask(&["ZADD", &bench.key("wakes"), "1", "api"]).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
    assert_eq!(first(&bench, 1, 5).await, Reason::Breaker { until_ms: None });
}

/// LIMITS-HOLD: calls of a run that was ended keep their place for a while.
#[tokio::test]
async fn an_endpoint_is_full_also_of_calls_that_linger() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2).limit(1)).await;
    let other = bench.run(Spec::parallel(2, 2).limit(1)).await;
    let seat = worker(&bench, "w1", 9).await;
    let held = bench.claim(&seat, 9).await;
    assert_eq!(held.len(), 1);
    let (running, waits) = if held[0].run == run { (run, 2) } else { (other, 1) };
    let full = |lingering| Reason::MaxConcurrency {
        in_flight: 1,
        lingering,
        max: 1,
    };
    assert_eq!(first(&bench, waits, 0).await, full(0));
    bench.store.cancel(running).await.unwrap();
    let job = bench.claim_control(&seat).await;
    bench.fill(&seat, running, job.fence, &[held[0].index]).await;
    assert_eq!(first(&bench, waits, 0).await, full(1));
}

#[tokio::test]
async fn an_endpoint_that_refused_calls_takes_fewer() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 9)).await;
    let seat = worker(&bench, "w1", 9).await;
    let held = bench.claim(&seat, 2).await;
    let refused = told(Signal::Refused, bench.store.now_ms().await.unwrap());
    retry(&bench, &seat, held[1].index, held[1].fence, HOUR, refused).await;
    let reason = first(&bench, 1, 5).await;
    let Reason::Adaptive {
        in_flight: 1,
        limit,
        since_ms: Some(since),
    } = reason
    else {
        panic!("{reason:?}");
    };
    assert!(limit < 2.0 && since >= bench.base_ms, "{reason:?}");
}

fn per_hour(count: u64) -> Option<Rate> {
    Some(Rate {
        count,
        per: HOUR,
        burst: None,
    })
}

#[tokio::test]
async fn a_rate_is_used_up_until_the_next_call_may_begin() {
    let bench = Bench::start().await;
    let rate = per_hour(2);
    limited(
        &bench,
        &Limits {
            rate,
            ..Limits::default()
        },
    )
    .await;
    let seat = worker(&bench, "w1", 9).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
    let reason = first(&bench, 1, 5).await;
    let Reason::Rate {
        until_ms: Some(until),
        rate: Some(rate),
    } = reason
    else {
        panic!("{reason:?}");
    };
    // A quarter of the interval of half an hour earlier.
    assert!(until > bench.base_ms + 20 * 60 * 1_000, "{until}");
    assert_eq!((rate.count, rate.per), (2, HOUR));
}

#[tokio::test]
async fn a_budget_of_tokens_is_used_up() {
    let bench = Bench::start().await;
    let tokens = per_hour(100);
    limited(
        &bench,
        &Limits {
            tokens,
            ..Limits::default()
        },
    )
    .await;
    let seat = worker(&bench, "w1", 9).await;
    let test = bench.claim_one(&seat).await;
    let done = Completion {
        feedback: Feedback {
            tokens: Some(90),
            ..told(Signal::Accepted, bench.base_ms)
        },
        ..completion(&test)
    };
    bench.settle(&seat, &[done]).await;
    let reason = first(&bench, 1, 5).await;
    let Reason::Tokens {
        until_ms: Some(until),
        budget: Some(budget),
    } = reason
    else {
        panic!("{reason:?}");
    };
    assert!(until > bench.base_ms && budget.count == 100, "{reason:?}");
}

#[tokio::test]
async fn the_fleet_has_as_many_tests_in_flight_as_it_may() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 5)).await;
    let most = FleetSettings {
        max_concurrency: Some(Some(2)),
        ..FleetSettings::default()
    };
    bench.store.set_fleet(most).await.unwrap();
    let seat = worker(&bench, "w1", 9).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 2);
    assert_eq!(first(&bench, 1, 3).await, Reason::FleetCap { in_flight: 2, max: 2 });
}

#[tokio::test]
async fn workers_are_away_or_stopping_or_busy() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 5)).await;
    assert_eq!(first(&bench, 1, 0).await, Reason::NoWorker);
    let seat = worker(&bench, "w1", 2).await;
    assert_eq!(first(&bench, 1, 0).await, Reason::Ready);
    let held = bench.claim(&seat, 2).await;
    assert_eq!(first(&bench, 1, 4).await, Reason::WorkersBusy { workers: 1 });
    bench.complete(&seat, &held).await;
    bench
        .store
        .heartbeat("w1", WORKER_LEASE, Some("draining"), &[(run, 1)])
        .await
        .unwrap();
    assert_eq!(first(&bench, 1, 4).await, Reason::WorkersDraining { workers: 1 });
    bench.expire_worker("w1").await;
    assert_eq!(first(&bench, 1, 4).await, Reason::NoWorker);
}

/// FAIR
///
/// F95.
#[tokio::test]
async fn others_come_first() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 5)).await;
    worker(&bench, "w1", 2).await;
    let of_its_run = Reason::Fairness {
        tests_before: 3,
        runs_before: 0,
        tenants_before: 0,
        endpoints_before: 0,
    };
    assert_eq!(reasons(&bench, 1, 3).await, [of_its_run]);
    bench.run(Spec::parallel(2, 5)).await;
    let policy = RunPolicy {
        tenant: "nightly",
        ..RunPolicy::default()
    };
    shaped(&bench, &Spec::parallel(3, 5), policy, &Limits::default(), &[]).await;
    bench.run(Spec::parallel(4, 5).endpoint("zoo")).await;
    let (mut runs, mut tenants, mut endpoints) = (0, 0, 0);
    for run in 1..=4 {
        match first(&bench, run, None).await {
            Reason::Ready => {}
            Reason::Fairness {
                tests_before: 0,
                runs_before,
                tenants_before,
                endpoints_before,
            } => {
                runs += runs_before;
                tenants += tenants_before;
                endpoints += endpoints_before;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((runs, tenants, endpoints), (1, 1, 1));
}

/// F68: what nothing keeps from being claimed has its place in the queue.
///
/// F95.
#[tokio::test]
async fn a_run_that_lost_its_place_is_said_to_have_none() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 5)).await;
    worker(&bench, "w1", 2).await;
    let () = bench.ask(&["DEL", &bench.key("endpoint:api:default:waiting")]).await;
    assert_eq!(reasons(&bench, 1, 0).await, [Reason::Misplaced]);
}

#[tokio::test]
async fn what_would_stand_in_the_way_then_comes_after() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 5).limit(1)).await;
    let seat = worker(&bench, "w1", 1).await;
    bench.claim_one(&seat).await;
    bench.store.hold_endpoint("api", HoldUntil::Released, "").await.unwrap();
    let reasons = reasons(&bench, 1, 3).await;
    assert!(
        matches!(
            reasons[..],
            [
                Reason::Hold { .. },
                Reason::MaxConcurrency { .. },
                Reason::WorkersBusy { .. },
                Reason::Fairness { tests_before: 2, .. }
            ]
        ),
        "{reasons:?}"
    );
}

/// LIMITS-HOLD: an operator's limit is what is told, not the one of the run.
#[tokio::test]
async fn a_limit_that_an_operator_set_is_the_one_that_is_told() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 5).limit(4)).await;
    let settings = EndpointSettings {
        max_concurrency: Setting::Set(1),
        ..EndpointSettings::default()
    };
    bench.store.set_endpoint("api", &settings).await.unwrap();
    let seat = worker(&bench, "w1", 9).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
    let full = Reason::MaxConcurrency {
        in_flight: 1,
        lingering: 0,
        max: 1,
    };
    assert_eq!(first(&bench, 1, 3).await, full);
    let lifted = bench.store.activate(id(1), 5, JOB_LEASE, &limits(None)).await.unwrap();
    assert!(matches!(lifted, Activated::Already(_)));
}
