//! `examine_…`, `mend_…`: whatever single thing is lost or damaged, it is found, mended, and every run ends all the same.

#![allow(clippy::print_stdout, reason = "how many damages were done, and figures")]

use std::collections::BTreeSet;
use std::time::Duration;

use deadpool_redis::redis::Value as Reply;
use serde_json::{Value, json};
use testfleet_model::configuration::{ModelLimits, Rate};
use testfleet_model::{RunId, RunState, Status};
use testfleet_store::{
    Collected, Completion, ControlJob, Delivery, Entry, Filling, Finding, FindingKind, Idempotency, JobRef, NewRun,
    Paused, Retry, Seat, Vacancy, Vacated,
};

use crate::support::{Bench, RETENTION, STAGING, Spec, completion, id};

/// One thing that somebody does to our keys.
#[derive(Clone, Debug)]
struct Damage {
    words: Vec<String>,
    key: String,
    field: Option<String>,
}

impl Damage {
    fn new(words: &[&str], key: &str, field: Option<&str>) -> Self {
        Self {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            key: key.strip_prefix("tf:{0}:").unwrap_or(key).to_owned(),
            field: field.map(ToOwned::to_owned),
        }
    }

    /// What is as well there as not: hints, counts of what is only told, and what is made anew by its next use.
    fn is_legal_absence(&self) -> bool {
        let part = self.key.rsplit(':').next().unwrap_or_default();
        let field = self.field.as_deref().unwrap_or_default();
        match part {
            "clock" | "fence" | "bell" | "reaper" | "sweeper" => true,
            // How often something was tried: it is tried once more.
            "control:attempts" | "attempts" | "tries" => true,
            // Where a dialogue was: it begins anew.
            "dialogues" => true,
            // A test that did not pass can be tried again as long as its payload is kept.
            "kept" => true,
            // No limit is a limit too.
            "limits" => true,
            _ if self.key.starts_with("submission:")
                || self.key.starts_with("config:")
                || self.key.starts_with("baseline:")
                // A call that was let in stays in, and the next one brings its limits.
                || self.key.starts_with("model:") =>
            {
                true
            }
            _ if self.key.starts_with("worker:") => field != "epoch" && !field.is_empty() && part != "jobs",
            // A submission that lost something of its own is refused when it is to be activated.
            "tests" => self.key.contains("-000000000007"),
            _ if self.key.starts_with("run:") && self.key.matches(':').count() == 1 => matches!(
                field,
                "captured"
                    | "discarded"
                    | "started_at"
                    // Without it a run has no recovery rounds.
                    | "deadline_at"
                    | "vt"
                    | "fence"
                    | "collecting_at"
                    | "config_id"
                    | "config_version"
                    | "epoch"
                    | "format"
                    | "ended_at"
                    | "stop"
                    // Without one it is that of whoever names none.
                    | "tenant"
                    | "mail_error"
            ),
            _ => false,
        }
    }
}

/// Every key, field and member on its own.
fn deletions(dump: &Value) -> Vec<Damage> {
    let mut all = Vec::new();
    for (key, value) in dump
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| !value.is_boolean())
    {
        all.push(Damage::new(&["DEL", key], key, None));
        match value {
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_str) {
                    all.push(Damage::new(&["LREM", key, "0", item], key, Some(item)));
                }
            }
            Value::Object(object) => {
                for (field, inner) in object {
                    match (field.as_str(), inner) {
                        ("set", Value::Array(members)) => {
                            for member in members.iter().filter_map(Value::as_str) {
                                all.push(Damage::new(&["SREM", key, member], key, Some(member)));
                            }
                        }
                        ("zset", Value::Array(members)) => {
                            for member in members.iter().filter_map(|pair| pair[0].as_str()) {
                                all.push(Damage::new(&["ZREM", key, member], key, Some(member)));
                            }
                        }
                        _ => all.push(Damage::new(&["HDEL", key, field], key, Some(field))),
                    }
                }
            }
            _ => {}
        }
    }
    all
}

/// Every key as something else.
fn other_types(dump: &Value) -> Vec<Damage> {
    let keys = dump
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| !value.is_boolean());
    keys.map(|(key, value)| match value {
        Value::String(_) => Damage::new(&["RPUSH", key, "x"], key, None),
        _ => Damage::new(&["SET", key, "x"], key, None),
    })
    .collect()
}

/// Every field of a run's and a worker's hash, and every text, as garbage.
fn garbage(dump: &Value) -> Vec<Damage> {
    let mut all = Vec::new();
    for (key, value) in dump.as_object().unwrap() {
        match value {
            Value::String(_) => all.push(Damage::new(&["SET", key, "-9x"], key, None)),
            Value::Object(fields) if !fields.values().all(Value::is_array) => {
                for field in fields.keys() {
                    all.push(Damage::new(&["HSET", key, field, "-9x"], key, Some(field)));
                }
            }
            _ => {}
        }
    }
    all
}

const PARALLEL: u128 = 1;
const WAITING: u128 = 2;
const SEQUENTIAL: u128 = 3;
const ENDED: u128 = 4;
const COLLECTING: u128 = 5;
const PAUSED: u128 = 6;
const STAGED: u128 = 7;

/// Runs in every state and in both modes, with tests in every place.
async fn busy() -> Bench {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    let ended = bench.run(Spec::parallel(ENDED, 1).endpoint("other")).await;
    let test = bench.claim_one(&seat).await;
    bench.complete(&seat, &[test]).await;
    let control = bench.claim_control(&seat).await;
    let letter = bench.collect(&seat, ended, control.fence, Some("{}")).await;
    assert_eq!(letter, Collected::Committed);

    let collecting = bench.run(Spec::parallel(COLLECTING, 3).endpoint("other")).await;
    let test = bench.claim_one(&seat).await;
    bench.complete(&seat, &[test]).await;
    bench.store.cancel(collecting).await.unwrap();
    let controls = bench.want(&seat, 0, 5).await.control;
    assert_eq!(controls.len(), 2);
    // The collection is held, the notification waits for another attempt.
    let back: Vec<JobRef> = controls
        .iter()
        .filter(|control| matches!(control.job, ControlJob::Notify(_)))
        .map(|control| JobRef::control(control.job, control.fence))
        .collect();
    bench.store.hand_back(&seat, &back, STAGING).await.unwrap();

    bench
        .run(Spec::parallel(PARALLEL, 9).endpoint("shared").limit(3).cap(4))
        .await;
    let tests = bench.claim(&seat, 3).await;
    let failed = Completion {
        status: Status::Fail,
        ..completion(&tests[0])
    };
    bench.settle(&seat, &[failed]).await;
    let retry = |at: usize, delay| Retry {
        run: tests[at].run,
        index: tests[at].index,
        fence: tests[at].fence,
        delay,
        feedback: testfleet_store::Feedback::default(),
    };
    bench
        .store
        .retry(&seat, &[retry(1, STAGING), retry(2, STAGING / 1_000_000)])
        .await
        .unwrap();
    bench.delays_over_of(&format!("{}/2", id(PARALLEL))).await;
    assert_eq!(bench.claim(&seat, 1).await[0].index, 2);
    let held = bench.claim(&seat, 2).await;
    assert_eq!(held.len(), 2);
    let hand = JobRef::test(held[0].run, held[0].index, held[0].fence);
    bench
        .store
        .hand_back(&seat, &[hand], std::time::Duration::ZERO)
        .await
        .unwrap();
    bench.claim(&seat, 1).await;
    let (run, index, fence) = (held[1].run, held[1].index, held[1].fence);
    let kept = bench.store.checkpoint(&seat.worker, run, index, fence, b"{}").await;
    assert_eq!(kept.unwrap(), testfleet_store::Kept::Kept);

    bench.run(Spec::parallel(WAITING, 2).endpoint("shared").limit(3)).await;
    bench.run(Spec::sequential(SEQUENTIAL, 4).endpoint("other")).await;
    let first = bench.claim(&seat, 4).await;
    assert_eq!(first.len(), 1, "{first:?}");
    let captured = Completion {
        captured: "{\"a\":1}".to_owned(),
        ..completion(&first[0])
    };
    bench.settle(&seat, &[captured]).await;
    bench.claim_one(&seat).await;

    let paused = bench.run(Spec::parallel(PAUSED, 2).endpoint("free")).await;
    assert_eq!(bench.store.pause(paused).await.unwrap(), Paused::Paused);
    let staged = NewRun {
        idempotency: Some(Idempotency {
            key: "ci 7",
            digest: "d",
        }),
        ..Spec::parallel(STAGED, 2).new_run()
    };
    bench.store.create(&staged).await.unwrap();
    bench.store.stage(id(STAGED), 0, &["a"], STAGING).await.unwrap();
    bench
        .store
        .put_config("suite", "{}", None, "suite", "Parallel")
        .await
        .unwrap();
    let feedback = testfleet_store::Feedback::default();
    let vacancy = Vacancy {
        run,
        index,
        fence,
        feedback,
    };
    let words = bench.store.vacate(&seat.worker, &[vacancy]).await.unwrap();
    assert_eq!(words, [Vacated::Vacated]);
    keep_baseline(&bench).await;
    judge(&bench).await;
    bench
}

const MODEL: &str = "http://judge.example:80/v1 small";
const HOUR: Duration = Duration::from_secs(3600);

fn limits_of_the_judge() -> ModelLimits {
    ModelLimits {
        max_concurrency: Some(5),
        rate: Some(Rate {
            count: 10,
            per: HOUR,
            burst: Some(5),
        }),
    }
}

/// Two calls of a model, one of which was told to wait.
async fn judge(bench: &Bench) {
    for permit in ["a", "b"] {
        let entered = bench
            .store
            .enter_model(MODEL, "w1", permit, &limits_of_the_judge(), HOUR)
            .await;
        assert_eq!(entered.unwrap(), Entry::Entered);
    }
    bench.store.leave_model(MODEL, "w1", "b", Some(HOUR)).await.unwrap();
}

async fn keep_baseline(bench: &Bench) {
    let key = bench.key("baseline:main");
    let () = bench
        .ask(&["HSET", &key, "run", "r", "document", "{}", "stored_at", "1700000000000"])
        .await;
    let () = bench
        .ask(&["ZADD", &bench.key("baselines"), "1700000000000", "main"])
        .await;
}

async fn look(bench: &Bench) -> Vec<Finding> {
    bench.store.examine().await.unwrap().findings
}

async fn do_damage(bench: &Bench, dump: &Value, damage: &Damage, retype: bool) {
    let () = bench.ask(&["FLUSHALL"]).await;
    bench.redis.load(dump.clone()).await;
    if retype {
        let _: i64 = bench.ask(&["DEL", &damage.words[1]]).await;
    }
    let words: Vec<&str> = damage.words.iter().map(String::as_str).collect();
    let _: Reply = bench.ask(&words).await;
}

/// Whether the collection can work on the run.
async fn collects(bench: &Bench, seat: &Seat, run: RunId, fence: u64, total: u32) -> bool {
    let fillings: Vec<Filling> = (0..total)
        .map(|index| Filling {
            index,
            status: Status::Error,
            result: b"{\"status\":\"Error\"}".to_vec(),
        })
        .collect();
    if bench.store.fill(seat, run, fence, &fillings).await.is_err() {
        return false;
    }
    let ended = RunState::Partial;
    let collected = bench.store.collect(seat, run, fence, ended, "summary", None, RETENTION);
    collected.await.is_ok()
}

/// A worker that does whatever there is to do, after all others are gone. Nothing helps it but the transitions.
async fn drive_to_the_end(bench: &Bench, runs: &[RunId]) -> Result<(), String> {
    let workers: Vec<String> = bench.ask(&["ZRANGE", &bench.key("workers"), "0", "-1"]).await;
    for worker in workers {
        bench.expire_worker(&worker).await;
    }
    let seat = bench.seat("w9").await;
    for run in runs {
        // One that cannot be resumed is one that is about to be ended.
        let _ = bench.store.resume(*run).await;
    }
    for turn in 0..60 {
        // What nobody is recorded to hold any more is found when its hard deadline is over.
        if turn == 20 {
            bench.everything_is_over().await;
        }
        bench.reap().await;
        let swept = bench.sweep().await;
        if swept.quarantined > 0 || !swept.suspicious.is_empty() {
            bench.store.mend_holdings(RETENTION).await.unwrap();
        }
        for run in swept.suspicious {
            bench.store.mend_run(&run, RETENTION).await.unwrap();
        }
        for (run, _) in bench.store.quarantined(10).await.unwrap() {
            bench.store.repair(&run, RETENTION).await.unwrap();
        }
        bench.delays_over().await;
        let claimed = bench.want(&seat, 5, 5).await;
        bench.complete(&seat, &claimed.tests).await;
        for control in claimed.control {
            match control.job {
                ControlJob::Collect(run) => {
                    let total = bench.store.run_view(run).await.unwrap().map_or(0, |view| view.total);
                    if !collects(bench, &seat, run, control.fence, total).await {
                        // As a worker does.
                        bench.store.repair(&run.to_string(), RETENTION).await.unwrap();
                    }
                }
                ControlJob::Notify(run) => {
                    let sent = Delivery::Sent;
                    bench
                        .store
                        .settle_notification(&seat, run, control.fence, &sent)
                        .await
                        .unwrap();
                }
            }
        }
        let mut open = 0;
        for run in runs {
            let Some(view) = bench.store.run_view(*run).await.unwrap() else {
                // It had ended, and all that is left of it expires.
                if *run == id(ENDED) {
                    continue;
                }
                return Err(format!("{run} is gone"));
            };
            open += u32::from(!view.state.is_terminal());
        }
        if open == 0 {
            return Ok(());
        }
    }
    Err("runs do not end".to_owned())
}

/// Of a run that is past its last test: nobody knows it any more.
fn is_lost_for_good(finding: &Finding) -> bool {
    let irreplaceable = ["config", "endpoint"].contains(&finding.subject.as_str());
    match finding.code {
        FindingKind::ResultLost | FindingKind::SummaryMissing => true,
        FindingKind::FieldMissing => irreplaceable && !finding.mendable,
        _ => false,
    }
}

/// Applies each damage to the same busy store. Answers what went wrong.
async fn survive(damages: impl Fn(&Value) -> Vec<Damage>, retype: bool, must_be_found: bool) {
    let bench = busy().await;
    let dump = json!(bench.redis.dump("").await);
    assert_eq!(look(&bench).await, [], "a store that nobody damaged");
    let runs: Vec<RunId> = [PARALLEL, WAITING, SEQUENTIAL, ENDED, COLLECTING, PAUSED]
        .map(id)
        .into();
    let mut wrong = Vec::new();
    let all = damages(&dump);
    let mut kinds = BTreeSet::new();
    for damage in &all {
        do_damage(&bench, &dump, damage, retype).await;
        let found = look(&bench).await;
        kinds.extend(found.iter().map(|finding| finding.code));
        if must_be_found && found.is_empty() && !damage.is_legal_absence() {
            wrong.push(format!("{damage:?} is not found"));
        }
        let mended = bench.store.mend(RETENTION).await.unwrap();
        let left: Vec<&Finding> = mended
            .left
            .findings
            .iter()
            .filter(|left| !is_lost_for_good(left))
            .collect();
        if !left.is_empty() {
            wrong.push(format!("{damage:?} leaves {left:?} after {:?}", mended.mended));
            continue;
        }
        if let Err(problem) = drive_to_the_end(&bench, &runs).await {
            wrong.push(format!("{damage:?}: {problem}"));
            continue;
        }
        for run in &runs {
            if *run == id(ENDED) {
                continue;
            }
            let view = bench.store.run_view(*run).await.unwrap().unwrap();
            if view.done != view.total || view.total == 0 {
                wrong.push(format!("{damage:?}: {run} has {} of {} results", view.done, view.total));
            }
        }
        let after: Vec<Finding> = look(&bench)
            .await
            .into_iter()
            .filter(|left| !is_lost_for_good(left))
            .collect();
        if !after.is_empty() {
            wrong.push(format!("{damage:?}: at the end {after:?}"));
        }
    }
    println!("{} damages, kinds found: {kinds:?}", all.len());
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n")
    );
}

/// F46, F32, F96
#[tokio::test]
async fn whatever_is_lost_is_found_and_mended_and_every_run_ends() {
    survive(deletions, false, true).await;
}

/// F96
#[tokio::test]
async fn whatever_key_has_another_type_is_found_and_mended_and_every_run_ends() {
    survive(other_types, true, true).await;
}

/// F96: what is garbage and not found is not needed.
#[tokio::test]
async fn whatever_value_is_garbage_every_run_ends() {
    survive(garbage, false, false).await;
}

/// F32, TERMINAL-ALWAYS: nobody calls the doctor; workers and their sweeper are enough for every run to end.
#[tokio::test]
async fn whatever_is_lost_every_run_ends_by_itself() {
    let bench = busy().await;
    let dump = json!(bench.redis.dump("").await);
    let runs: Vec<RunId> = [PARALLEL, WAITING, SEQUENTIAL, COLLECTING, PAUSED].map(id).into();
    let mut wrong = Vec::new();
    for damage in deletions(&dump) {
        do_damage(&bench, &dump, &damage, false).await;
        if let Err(problem) = drive_to_the_end(&bench, &runs).await {
            wrong.push(format!("{damage:?}: {problem}"));
            continue;
        }
        for run in &runs {
            let view = bench.store.run_view(*run).await.unwrap().unwrap();
            if view.done != view.total || view.total == 0 {
                wrong.push(format!("{damage:?}: {run} has {} of {} results", view.done, view.total));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// F96
#[tokio::test]
async fn what_is_wrong_with_the_limits_of_a_model_is_found_and_mended() {
    let bench = Bench::start().await;
    let (calls, state) = (
        bench.key(&format!("model:{MODEL}:calls")),
        bench.key(&format!("model:{MODEL}:state")),
    );
    let far_ms = "99999999999999";
    let cases: [(&[&str], FindingKind); 8] = [
        (&["PERSIST", &calls], FindingKind::ExpiryMissing),
        (&["PERSIST", &state], FindingKind::ExpiryMissing),
        (&["ZADD", &calls, far_ms, "c"], FindingKind::ModelHeld),
        (&["ZADD", &calls, "inf", "c"], FindingKind::ModelHeld),
        (&["HSET", &state, "hold_until", far_ms], FindingKind::ModelHeld),
        (
            &["HSET", &state, "tat", "99999999999999999.125"],
            FindingKind::ModelHeld,
        ),
        (&["HSET", &state, "hold_until", "inf"], FindingKind::ModelUnreadable),
        (&["HSET", &state, "tat", "soon"], FindingKind::ModelUnreadable),
    ];
    for (words, kind) in cases {
        let () = bench.ask(&["FLUSHALL"]).await;
        judge(&bench).await;
        assert_eq!(look(&bench).await, []);
        let _: Reply = bench.ask(words).await;
        let found = look(&bench).await;
        assert_eq!(
            found.iter().map(|found| found.code).collect::<Vec<_>>(),
            [kind],
            "{words:?}"
        );
        let mended = bench.store.mend(RETENTION).await.unwrap();
        assert_eq!((mended.mended, mended.left.findings), (found, vec![]), "{words:?}");
        // The call that is in has its place, and nothing stays for ever.
        assert!(
            bench.ask::<Option<f64>>(&["ZSCORE", &calls, "w1|a"]).await.is_some(),
            "{words:?}"
        );
        for key in [&calls, &state] {
            let ttl: i64 = bench.ask(&["PTTL", key]).await;
            assert!(
                ttl > 0 && ttl <= i64::try_from(HOUR.as_millis()).unwrap(),
                "{words:?}: {ttl}"
            );
        }
    }
    // Nobody can call it until somebody mends that.
    for key in [&calls, &state] {
        let () = bench.ask(&["FLUSHALL"]).await;
        let () = bench.ask(&["SET", key, "x"]).await;
        let enter = async || {
            bench
                .store
                .enter_model(MODEL, "w1", "a", &limits_of_the_judge(), HOUR)
                .await
        };
        enter().await.unwrap_err();
        let found = look(&bench).await;
        assert_eq!(
            found.iter().map(|found| found.code).collect::<Vec<_>>(),
            [FindingKind::WrongType]
        );
        assert_eq!(bench.store.mend(RETENTION).await.unwrap().left.findings, []);
        assert_eq!(enter().await.unwrap(), Entry::Entered);
    }
}

#[tokio::test]
async fn an_examination_writes_nothing() {
    let bench = busy().await;
    let before = bench.redis.dump("").await;
    assert_eq!(look(&bench).await, []);
    assert_eq!(bench.redis.dump("").await, before);
}

/// How long an examination takes: `cargo nextest run -p testfleet-store --run-ignored only --no-capture examination`.
#[tokio::test]
#[ignore = "prints figures, for a quiet machine"]
async fn figures_of_a_large_store() {
    let bench = Bench::start().await;
    for run in 1..=999 {
        bench.run(Spec::parallel(run, 10)).await;
    }
    bench.run(Spec::parallel(1_000, 100_000)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 200).await;
    bench.complete(&seat, &held[..100]).await;
    let timed = async |what: &str| {
        let started = std::time::Instant::now();
        let findings = look(&bench).await;
        println!("{what}: {:?}, {} findings", started.elapsed(), findings.len());
    };
    timed("1,000 runs, one of them of 100,000 tests").await;
    let tests = bench.store.keys().run_part(id(1_000), "tests");
    let () = bench.ask(&["HDEL", &tests, "54321"]).await;
    timed("the same, with one payload lost: tests are looked at one by one").await;
    let started = std::time::Instant::now();
    let mended = bench.store.mend(RETENTION).await.unwrap();
    println!(
        "mending that: {:?}, {} mended, {} left",
        started.elapsed(),
        mended.mended.len(),
        mended.left.findings.len()
    );
    let run = id(1_000).to_string();
    let started = std::time::Instant::now();
    bench.store.mend_run(&run, RETENTION).await.unwrap();
    println!("the run of 100,000 tests alone: {:?}", started.elapsed());
}
