//! What must hold at the end of every case, whatever happened in it. The stub's log is the truth about calls, the mailbox
//! the truth about mail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use testfleet_model::{RunId, Status, TestResult};
use testfleet_stub::{Call, Traffic};

use crate::ground::Ground;
use crate::point::{CrashPoint, Fault};

/// What a run has to come to.
pub(crate) struct Expected {
    /// What every test ends as.
    pub(crate) status: Status,
    /// What the run ends as.
    pub(crate) final_status: &'static str,
    /// Calls of each test when nothing goes wrong.
    pub(crate) calls: Vec<usize>,
    /// Whether the endpoint may never see two calls at once, in the order of the tests.
    pub(crate) one_by_one: bool,
    /// Calls that the endpoint may see at the same time.
    pub(crate) at_once: usize,
}

/// Parts of keys that are gone when nothing runs and nothing waits. Not the calls that linger: those of a worker that was
/// killed do so until their time, and are forgotten when somebody looks.
const LIVE: [&str; 24] = [
    "ready:endpoints",
    "wakes",
    "paused",
    "leases",
    "workers",
    "delayed",
    "control",
    "mails",
    "control:owners",
    "control:attempts",
    "outbox",
    "deadlines",
    "dead",
    "dead:jobs",
    "slots",
    "tenants",
    "waiting",
    "jobs",
    "owners",
    "again",
    "tries",
    "tests",
    "waits",
    "unmet",
];

/// Cases of this process in which a second mail arrived: that it may is no reason for it never to be tried.
pub(crate) static SECOND_MAILS: AtomicU64 = AtomicU64::new(0);

/// Everything that is wrong, one sentence each. All workers must have ended.
pub(crate) async fn violations(
    ground: &Ground,
    run: RunId,
    point: Option<CrashPoint>,
    expected: &Expected,
) -> Vec<String> {
    let mut found = Vec::new();
    let fault = point.map(|point| point.fault);
    let ended = ground.fleet.ended(run).await;
    if ended.results.iter().any(Option::is_none) || ended.results.len() != expected.calls.len() {
        found.push(format!("not every test has a result: {:?}", ended.results));
        return found;
    }
    let results = ended.all_results();
    found.extend(results_wrong(&results, expected, fault));
    found.extend(summary_wrong(&ended.summary, &results, expected));
    if ended.view.left != 0 {
        found.push(format!("the countdown is {}", ended.view.left));
    }
    let mails = ground.fleet.mailbox.mails();
    let mails: Vec<&String> = mails.iter().filter(|mail| mail.contains(&run.to_string())).collect();
    found.extend(mails_wrong(&mails, fault));
    found.extend(calls_wrong(&ground.fleet.calls_of(run), expected, fault));
    let strangers = ground.fleet.stub.calls().len() - ground.fleet.calls_of(run).len();
    if strangers > 0 {
        found.push(format!("{strangers} calls of another run"));
    }
    found.extend(left_behind(&ground.fleet.redis.dump("").await, run));
    found
}

fn results_wrong(results: &[TestResult], expected: &Expected, fault: Option<Fault>) -> Vec<String> {
    let mut found = Vec::new();
    for (index, (result, calls)) in results.iter().zip(&expected.calls).enumerate() {
        if result.test_id != format!("t-{index}") {
            found.push(format!("the result of test {index} is one of {}", result.test_id));
        }
        if result.status != expected.status {
            found.push(format!("t-{index} is {:?}: {:?}", result.status, result.error));
        }
        let most = calls + allowed(fault);
        let attempts = result.attempts as usize;
        if attempts < *calls || attempts > most {
            found.push(format!(
                "t-{index} has {attempts} attempts instead of {calls} to {most}"
            ));
        }
    }
    found
}

/// Calls of a test that a fault may add: the one that was in flight when its process went away.
fn allowed(fault: Option<Fault>) -> usize {
    usize::from(fault.is_some_and(|fault| !fault.spares_the_process()))
}

fn summary_wrong(summary: &Value, results: &[TestResult], expected: &Expected) -> Vec<String> {
    let mut found = Vec::new();
    let counted: BTreeMap<&str, usize> = [
        ("total_tests", results.len()),
        ("completed_tests", results.len()),
        (
            "tests_passed",
            results.iter().filter(|result| result.status == Status::Pass).count(),
        ),
        (
            "tests_cancelled",
            results
                .iter()
                .filter(|result| result.status == Status::Cancelled)
                .count(),
        ),
    ]
    .into();
    for (field, count) in counted {
        // A cancelled test is in the total and not among the completed ones.
        let cancelled = field == "completed_tests" && expected.status == Status::Cancelled;
        if !cancelled && summary[field] != count {
            found.push(format!("the summary says {field} {} and not {count}", summary[field]));
        }
    }
    if summary["final_status"] != expected.final_status {
        found.push(format!(
            "the run is {} and not {}",
            summary["final_status"], expected.final_status
        ));
    }
    found
}

/// One mail; two of the same Message-ID where the process was lost or stood still, which may have been while it sent.
fn mails_wrong(mails: &[&String], fault: Option<Fault>) -> Vec<String> {
    let most = 1 + allowed(fault);
    let mut ids: Vec<&str> = mails
        .iter()
        .filter_map(|mail| {
            mail.lines()
                .find(|line| line.to_ascii_lowercase().starts_with("message-id:"))
        })
        .collect();
    let mut found = Vec::new();
    if mails.is_empty() || mails.len() > most || ids.len() != mails.len() {
        found.push(format!(
            "{} mails with {} ids arrived instead of 1 to {most}",
            mails.len(),
            ids.len()
        ));
    }
    ids.dedup();
    if mails.len() == 2 {
        SECOND_MAILS.fetch_add(1, Ordering::Relaxed);
    }
    if ids.len() > 1 {
        found.push(format!("the mails have different ids: {ids:?}"));
    }
    found
}

fn calls_wrong(calls: &[Call], expected: &Expected, fault: Option<Fault>) -> Vec<String> {
    let mut found = Vec::new();
    let mut per_attempt: BTreeMap<(Option<String>, Option<u32>), usize> = BTreeMap::new();
    for call in calls {
        *per_attempt
            .entry((call.identity.test.clone(), call.identity.attempt))
            .or_default() += 1;
    }
    for ((test, attempt), count) in per_attempt {
        if count > 1 {
            found.push(format!("attempt {attempt:?} of {test:?} was called {count} times"));
        }
    }
    for (index, wanted) in expected.calls.iter().enumerate() {
        let name = format!("t-{index}");
        let count = calls
            .iter()
            .filter(|call| call.identity.test.as_ref() == Some(&name))
            .count();
        let most = wanted + allowed(fault);
        if count < *wanted || count > most {
            found.push(format!("{name} was called {count} times instead of {wanted} to {most}"));
        }
    }
    // A process that stood still may go on with a call whose place is somebody else's by then.
    let stood_still = fault.is_some_and(Fault::is_a_standstill);
    let most = Traffic::of(calls).most_at_once().0;
    if most > expected.at_once && !stood_still {
        found.push(format!("{most} calls at the same time instead of {}", expected.at_once));
    }
    if expected.one_by_one {
        found.extend(order_wrong(calls, fault));
    }
    found
}

/// One test after the other, and one call at a time. A process that stood still may go on with the call it had in flight,
/// whatever others do by then; of its tests the last attempts are in order nevertheless.
fn order_wrong(calls: &[Call], fault: Option<Fault>) -> Vec<String> {
    let stood_still = fault.is_some_and(Fault::is_a_standstill);
    let is_last = |call: &&Call| {
        let later =
            |other: &Call| other.identity.test == call.identity.test && other.identity.attempt > call.identity.attempt;
        !stood_still || !calls.iter().any(later)
    };
    let calls: Vec<&Call> = calls.iter().filter(is_last).collect();
    let mut found = Vec::new();
    for pair in calls.windows(2) {
        if pair[0].identity.test > pair[1].identity.test {
            found.push(format!(
                "{:?} was called after {:?}",
                pair[1].identity, pair[0].identity
            ));
        }
        if !stood_still && pair[0].end_ns.is_none_or(|end| end > pair[1].start_ns) {
            found.push(format!("{:?} overlaps {:?}", pair[1].identity, pair[0].identity));
        }
    }
    found
}

fn left_behind(dump: &BTreeMap<String, Value>, run: RunId) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in dump {
        let Some((_, rest)) = key.split_once("}:") else {
            found.push(format!("{key} is none of our keys"));
            continue;
        };
        let live = LIVE
            .iter()
            .any(|part| rest == *part || rest.ends_with(&format!(":{part}")));
        if live || rest.starts_with("worker:") {
            found.push(format!("{key} is left behind: {value}"));
        }
        let of_run = rest.starts_with("run:") && !rest.ends_with(" ttl");
        if of_run && !rest.starts_with(&format!("run:{run}")) {
            found.push(format!("{key} belongs to a run that nobody acknowledged"));
        }
        if of_run && !dump.contains_key(&format!("{key} ttl")) {
            found.push(format!("{key} stays for ever"));
        }
    }
    found
}
