//! A worker behind the proxy: it executes a run until its point is reached, and somebody has to finish.

use serde_json::{Value, json};
use testfleet_model::{RunId, Status};
use testfleet_stub::{Behaviour, Fault as StubFault, FaultKind};
use testfleet_testkit::wait_for;
use testfleet_tests::Process;

use crate::case::Report;
use crate::ground::{Ground, end_in_order, suite};
use crate::judge::{Expected, violations};
use crate::point::{CrashPoint, Fault, Scenario};
use crate::standstill::Standstill;
use crate::victim::Victim;
use crate::watch;

/// Runs one case; without a point nothing happens in it.
pub(crate) async fn run(scenario: Scenario, point: Option<CrashPoint>) -> Report {
    let ground = Ground::new().await;
    ground.load_functions().await;
    let victim = Victim::default();
    let arm = || {
        match scenario {
            Scenario::Background => ground.proxy.count(watch::is_regular),
            Scenario::Start => ground.proxy.count(watch::is_start),
            _ => ground.proxy.count(watch::is_work),
        }
        if let Some(point) = point {
            victim.await_at(&ground.proxy, point);
        }
    };
    let (run, mut worker) = match scenario {
        Scenario::Cancelled => {
            let run = ground.fleet.submit(&hanging(&ground)).await;
            let worker = ground.start_worker("victim", &ground.proxy.url());
            victim.is(worker.pid());
            wait_for_two_calls(&ground, run).await;
            // Counted from the cancel on: what comes before is the same as in a Parallel run.
            arm();
            ground.store.cancel(run).await.expect("an answer");
            (run, worker)
        }
        _ => {
            let run = ground.fleet.submit(&document(&ground, scenario)).await;
            if scenario == Scenario::Takeover {
                // It is killed with exactly these two calls, however long that takes.
                behave(&ground, Some(StubFault::always(FaultKind::Hang)));
                let mut first = ground.start_worker("first", &ground.fleet.redis.url());
                wait_for_two_calls(&ground, run).await;
                first.kill();
                behave(&ground, None);
            }
            arm();
            let worker = ground.start_worker("victim", &ground.proxy.url());
            victim.is(worker.pid());
            (run, worker)
        }
    };
    let expected = expected(scenario);
    let calls_before = if scenario == Scenario::Takeover {
        ground.fleet.calls_of(run)
    } else {
        Vec::new()
    };
    let reached = point.is_some() && sprung_or_ended(&ground, run).await;
    let mut found = Vec::new();
    // Before there is a helper.
    let standstill = Standstill::of(&ground, run, expected.calls.len(), &calls_before);
    match point.map(|point| point.fault) {
        Some(Fault::Kill) if reached => {
            worker.kill();
            let mut helper = ground.start_helper();
            ground.wait_for_end(run).await;
            ground.wait_for_worker(&worker, false).await;
            end_in_order(&mut helper).await;
        }
        Some(Fault::Doze) if reached => {
            let mut helper = ground.start_helper();
            ground.wait_for_worker(&helper, true).await;
            ground.wait_for_worker(&worker, false).await;
            worker.signal("CONT");
            ground.proxy.release();
            ground.wait_for_worker(&worker, true).await;
            ground.wait_for_end(run).await;
            end_in_order(&mut worker).await;
            end_in_order(&mut helper).await;
        }
        Some(Fault::Freeze) if reached => {
            let mut helper = ground.start_helper();
            ground.wait_for_end(run).await;
            ground.wait_for_worker(&worker, false).await;
            found.extend(thaw(&ground, run, &mut worker, &standstill).await);
            end_in_order(&mut helper).await;
        }
        _ => {
            ground.wait_for_end(run).await;
            end_in_order(&mut worker).await;
        }
    }
    found.extend(violations(&ground, run, point.filter(|_| reached), &expected).await);
    let ends = worker.log().matches("run has ended").count();
    if ends > 1 {
        found.push(format!("the victim says {ends} times that the run has ended"));
    }
    Report::new(&victim, &ground, &found)
}

/// Lets the frozen worker go on, and tells what that changed. The run is over and the worker forgotten.
async fn thaw(ground: &Ground, run: RunId, worker: &mut Process, standstill: &Standstill) -> Vec<String> {
    let (before, calls) = (ground.state().await, ground.fleet.calls_of(run));
    worker.signal("CONT");
    ground.proxy.release();
    // It finds out that it was taken for lost, and is told to end then: what it still does is done when it has ended.
    ground.wait_for_worker(worker, true).await;
    end_in_order(worker).await;
    let mut found = Vec::new();
    let after = ground.state().await;
    for key in before.keys().chain(after.keys()) {
        let (old, new) = (before.get(key), after.get(key));
        if old != new {
            found.push(format!("the thawed worker changed {key} from {old:?} to {new:?}"));
        }
    }
    found.sort();
    found.dedup();
    found.extend(standstill.calls_begun(&calls, &ground.fleet.calls_of(run)));
    found
}

/// Waits for what comes first. Answers whether it was the point.
async fn sprung_or_ended(ground: &Ground, run: RunId) -> bool {
    wait_for("the point, or the end of the run", async || {
        // What is performed at the very command that ends the run counts as reached.
        let over = !ground.proxy.has_sprung() && ground.has_ended(run).await && ground.proxy.disarm();
        (over || ground.proxy.has_sprung()).then_some(!over)
    })
    .await
}

fn document(ground: &Ground, scenario: Scenario) -> Value {
    match scenario {
        Scenario::Sequential => suite(ground, "Sequential", &[10, 10, 10]),
        Scenario::Limited => limited(ground),
        // Long enough for some heartbeats, and each test for a part of them.
        Scenario::Background => suite(ground, "Parallel", &[400, 100, 200, 300]),
        _ => suite(ground, "Parallel", &[10, 60, 40, 90]),
    }
}

/// `t-2` waits for `t-0`, and shares the room of a group with `t-1` and `t-3`. Answers are judged, by a model with a limit of its own.
fn limited(ground: &Ground) -> Value {
    let mut document = suite(ground, "Parallel", &[40, 10, 10, 20]);
    document["endpoint"]["limits"] = json!({ "max_concurrency": 1, "rate": "50/s" });
    document["models"] = json!({ "judge": {
        "base_url": format!("{}/judge/v1", ground.judge.url()), "model": "judge", "limits": { "max_concurrency": 1 },
    } });
    document["metrics"] = json!([{ "type": "equals" }, { "type": "llm-rubric", "value": "text" }]);
    document["attributes"]["groups"] = json!({ "pair": { "max_concurrency": 1 } });
    for index in 1..4 {
        document["test_set"]["tests"][index]["group"] = json!("pair");
    }
    document["test_set"]["tests"][2]["depends_on"] = json!(["t-0"]);
    document
}

/// No test of it ever ends by itself.
fn hanging(ground: &Ground) -> Value {
    let mut document = suite(ground, "Parallel", &[0, 0, 0, 0]);
    for index in 0..4 {
        document["test_set"]["tests"][index]["vars"] = json!({ "fault": "hang" });
    }
    document
}

fn expected(scenario: Scenario) -> Expected {
    let completed = Expected {
        status: Status::Pass,
        final_status: "Completed",
        calls: vec![1, 2, 1, 1],
        one_by_one: false,
        at_once: 2,
    };
    match scenario {
        Scenario::Sequential => Expected {
            calls: vec![1, 2, 1],
            one_by_one: true,
            ..completed
        },
        // Both were called by the worker that was killed; the call of `t-1` that fails comes after it.
        Scenario::Takeover => Expected {
            calls: vec![2, 3, 1, 1],
            ..completed
        },
        Scenario::Cancelled => Expected {
            status: Status::Cancelled,
            final_status: "Cancelled",
            calls: vec![1, 1, 0, 0],
            ..completed
        },
        Scenario::Limited => Expected {
            at_once: 1,
            ..completed
        },
        _ => completed,
    }
}

async fn wait_for_two_calls(ground: &Ground, run: RunId) {
    wait_for("two calls in flight", async || {
        (ground.fleet.calls_of(run).len() == 2).then_some(())
    })
    .await;
}

/// What the stub does to everybody from here on.
fn behave(ground: &Ground, fault: Option<StubFault>) {
    let behaviour = Behaviour {
        fault,
        ..Behaviour::default()
    };
    ground.fleet.stub.set_behaviour(behaviour).expect("a valid behaviour");
}
