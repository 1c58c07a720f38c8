//! What must be true of every run of the soak, held against the store, the stub's log and the mails that arrived.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use testfleet_model::result::ErrorClass;
use testfleet_model::{RunState, Status, TestResult};
use testfleet_store::Store;
use testfleet_stub::Call;
use testfleet_tests::{Fleet, leftovers};

use crate::fault::Frozen;
use crate::submitting::Submitted;

/// `retry.max_attempts` of the configurations.
const ATTEMPTS: u32 = 4;
/// An attempt that is handed back is not spent, so a test may be called more often than it may be tried.
const CALLS: usize = 2 * ATTEMPTS as usize;
/// H + 1 s: how long after a cancel or an end a call may start.
const LATE_MS: i64 = 1200;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<String>,
    pub(crate) states: HashMap<RunState, usize>,
    pub(crate) tests: usize,
    pub(crate) calls: usize,
    pub(crate) most_calls: usize,
    pub(crate) attempts_called_twice: usize,
    pub(crate) not_passed: usize,
    pub(crate) mails: usize,
    pub(crate) mails_twice: usize,
    pub(crate) discarded: u64,
    pub(crate) overlaps_allowed: usize,
}

/// Waits until nothing is held or waits; answers what still was after that time.
pub(crate) async fn idle(fleet: &Fleet, patience: Duration) -> Vec<String> {
    let began = Instant::now();
    loop {
        let left = leftovers(&fleet.redis.dump("").await);
        if left.is_empty() || began.elapsed() > patience {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Judges every run.
pub(crate) async fn of(fleet: &Fleet, submitted: &[Submitted], frozen: &Frozen) -> Verdict {
    let mut verdict = Verdict::default();
    let store = fleet.store();
    let mut calls: HashMap<String, Vec<Call>> = HashMap::new();
    for call in fleet.stub.calls() {
        if let Some(run) = call.identity.run.clone() {
            calls.entry(run).or_default().push(call);
        }
    }
    let mails = mails_by_run(&fleet.mailbox.mails(), submitted);
    for one in submitted {
        let id = one.run.to_string();
        let of_run = calls.get(&id).map_or(&[][..], Vec::as_slice);
        let found = verdict.run(&store, one, of_run, frozen).await;
        verdict.mails(&id, mails.get(&id).map_or(&[][..], Vec::as_slice));
        verdict
            .violations
            .extend(found.into_iter().map(|what| format!("{id}: {what}")));
    }
    verdict
}

/// Message-IDs by the run they are about.
fn mails_by_run(mails: &[String], submitted: &[Submitted]) -> HashMap<String, Vec<String>> {
    let ids: Vec<String> = submitted.iter().map(|one| one.run.to_string()).collect();
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for mail in mails {
        let header = mail
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("message-id:"));
        let header = header.unwrap_or_default();
        if let Some(id) = ids.iter().find(|id| header.contains(id.as_str())) {
            found.entry(id.clone()).or_default().push(header.to_owned());
        }
    }
    found
}

impl Verdict {
    async fn run(&mut self, store: &Store, one: &Submitted, calls: &[Call], frozen: &Frozen) -> Vec<String> {
        let mut wrong = Vec::new();
        let view = match store.run_view(one.run).await {
            Ok(Some(view)) => view,
            other => return vec![format!("acknowledged and gone: {other:?}")],
        };
        *self.states.entry(view.state).or_default() += 1;
        self.discarded += view.discarded_results;
        self.tests += one.tests;
        if !view.state.is_terminal() {
            return vec![format!("not terminal: {view:?}")];
        }
        if one.cancelled && view.state != RunState::Cancelled {
            wrong.push(format!("cancelled, and ended as {:?}", view.state));
        }
        let results = self.results(store, one, &mut wrong).await;
        summary(store, one, &results, view.state, &mut wrong).await;
        self.calls(one, calls, view.ended_at_ms.unwrap_or(i64::MAX), &mut wrong);
        if one.sequential {
            self.sequence(calls, frozen, &mut wrong);
        }
        wrong
    }

    async fn results(&mut self, store: &Store, one: &Submitted, wrong: &mut Vec<String>) -> Vec<TestResult> {
        let count = u32::try_from(one.tests).expect("a small run");
        let stored = store.results(one.run, 0, count + 1).await.unwrap_or_default();
        if stored.len() != one.tests + 1 || stored.last().is_some_and(Option::is_some) {
            wrong.push("results cannot be read, or there is one too many".to_owned());
        }
        let mut results = Vec::new();
        for (index, bytes) in stored.into_iter().take(one.tests).enumerate() {
            let result = bytes.and_then(|bytes| serde_json::from_slice::<TestResult>(&bytes).ok());
            let Some(result) = result else {
                wrong.push(format!("test {index} has no result"));
                continue;
            };
            if result.test_id != format!("t-{index}") {
                wrong.push(format!("test {index} has the result of {}", result.test_id));
            }
            if result.attempts > ATTEMPTS {
                wrong.push(format!("test {index} was tried {} times", result.attempts));
            }
            let class = result.error.as_ref().map(|error| error.class);
            let expected = match result.status {
                Status::Pass => true,
                Status::Cancelled => one.cancelled,
                Status::Error => matches!(class, Some(ErrorClass::WorkerLost | ErrorClass::Status)),
                _ => false,
            };
            if !expected {
                wrong.push(format!("test {index} is {} ({class:?})", result.status));
            }
            self.not_passed += usize::from(result.status != Status::Pass && result.status != Status::Cancelled);
            results.push(result);
        }
        results
    }

    fn calls(&mut self, one: &Submitted, calls: &[Call], ended_ms: i64, wrong: &mut Vec<String>) {
        self.calls += calls.len();
        let mut per_test: BTreeMap<&str, usize> = BTreeMap::new();
        let mut per_attempt: BTreeMap<(&str, Option<u32>), usize> = BTreeMap::new();
        for call in calls {
            let test = call.identity.test.as_deref().unwrap_or_default();
            *per_test.entry(test).or_default() += 1;
            *per_attempt.entry((test, call.identity.attempt)).or_default() += 1;
            if call.identity.attempt.is_none_or(|attempt| attempt > ATTEMPTS) {
                wrong.push(format!("{test} was called as attempt {:?}", call.identity.attempt));
            }
            let late = call.started_at.timestamp_millis() - ended_ms;
            if late > LATE_MS {
                wrong.push(format!("{test} was called {late} ms after the end of its run"));
            }
        }
        self.attempts_called_twice += per_attempt.values().filter(|count| **count > 1).count();
        let most = per_test.values().copied().max().unwrap_or(0);
        self.most_calls = self.most_calls.max(most);
        if most > CALLS {
            wrong.push(format!("a test was called {most} times"));
        }
        if !one.cancelled && per_test.len() != one.tests {
            wrong.push(format!("{} of {} tests were called", per_test.len(), one.tests));
        }
    }

    /// SEQUENTIAL-ORDER and NO-OVERLAP; a call that a frozen worker had in flight may overlap the one after it.
    fn sequence(&mut self, calls: &[Call], frozen: &Frozen, wrong: &mut Vec<String>) {
        let index = |call: &Call| -> u32 {
            let test = call.identity.test.as_deref().unwrap_or_default();
            test.trim_start_matches("t-").parse().unwrap_or(u32::MAX)
        };
        for pair in calls.windows(2) {
            let (first, second) = (&pair[0], &pair[1]);
            if index(first) > index(second) {
                let at = second.started_at.timestamp_millis();
                let thawed = frozen.iter().map(|(_, thawed)| at - thawed).filter(|ms| *ms >= 0).min();
                wrong.push(format!(
                    "t-{} was called after t-{} (attempt {:?}, {} ms after the last thaw of a worker)",
                    index(second),
                    index(first),
                    second.identity.attempt,
                    thawed.map_or_else(|| "no".to_owned(), |ms| ms.to_string())
                ));
            }
            let end = first.end_ns.unwrap_or(u64::MAX);
            if end <= second.start_ns {
                continue;
            }
            let from = first.started_at.timestamp_millis();
            let to = second.started_at.timestamp_millis();
            if frozen.iter().any(|(stopped, _)| (from..=to).contains(stopped)) {
                self.overlaps_allowed += 1;
            } else {
                wrong.push(format!(
                    "t-{} overlaps t-{} by {} ms, and no worker was frozen",
                    index(second),
                    index(first),
                    end.saturating_sub(second.start_ns) / 1_000_000
                ));
            }
        }
    }

    fn mails(&mut self, run: &str, ids: &[String]) {
        self.mails += ids.len();
        self.mails_twice += usize::from(ids.len() > 1);
        if ids.is_empty() || ids.len() > 2 {
            self.violations.push(format!("{run}: {} mails", ids.len()));
        }
        if ids.iter().any(|id| *id != ids[0]) {
            self.violations
                .push(format!("{run}: mails with different ids: {ids:?}"));
        }
    }
}

/// One summary, over all tests, that says what is stored.
async fn summary(store: &Store, one: &Submitted, results: &[TestResult], state: RunState, wrong: &mut Vec<String>) {
    let text = store.summary(one.run).await.ok().flatten().unwrap_or_default();
    let Ok(summary) = serde_json::from_str::<serde_json::Value>(&text) else {
        wrong.push(format!("no summary: {text:?}"));
        return;
    };
    let count = |status: Status| results.iter().filter(|result| result.status == status).count();
    let expected = [
        ("total_tests", one.tests),
        ("tests_passed", count(Status::Pass)),
        ("execution_errors", count(Status::Error)),
        ("tests_cancelled", count(Status::Cancelled)),
    ];
    for (field, number) in expected {
        if summary[field] != number {
            wrong.push(format!("its summary says {field} {} and not {number}", summary[field]));
        }
    }
    let said = summary["final_status"].as_str().unwrap_or_default().to_lowercase();
    if said != format!("{state:?}").to_lowercase() {
        wrong.push(format!("it is {state:?} and its summary says {said}"));
    }
}
