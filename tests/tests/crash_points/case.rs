//! One case, whatever its scenario, and many of them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use testfleet_testkit::Point;

use crate::ground::Ground;
use crate::judge::SECOND_MAILS;
use crate::point::{CrashPoint, Fault, Scenario, Selection};
use crate::victim::Victim;
use crate::{submission_case, watch, worker_case};

/// Cases at once. They mostly wait.
const AT_ONCE: usize = 10;
/// A run may need some commands less than another: when two tests end at the same time, or when nobody asks for work in
/// vain. Then its last points are not reached. So often a case is tried.
const TRIES: u32 = 6;
/// Of the points of a scenario, one in so many may stay out of reach all the same.
const MOST_MISSED: usize = 10;

/// Over all scenarios of this process, for the last line.
static RUN: AtomicU64 = AtomicU64::new(0);
static VIOLATED: AtomicU64 = AtomicU64::new(0);
static MISSED: AtomicU64 = AtomicU64::new(0);

/// How one case went.
pub(crate) struct Report {
    /// The command that was struck; `None` when its point was not reached.
    struck: Option<String>,
    /// The commands that were counted.
    commands: Vec<String>,
    violations: Vec<String>,
}

impl Report {
    /// Of a case that has ended. Panics with the violations while the processes of the case are still there, so that
    /// their logs are shown.
    pub(crate) fn new(victim: &Victim, ground: &Ground, violations: &[String]) -> Self {
        assert!(violations.is_empty(), "{}", violations.join("\n  "));
        Self {
            struck: victim.struck(),
            commands: ground.proxy.counted().iter().map(watch::name_of).collect(),
            violations: Vec::new(),
        }
    }
}

/// A case on a thread and a runtime of its own, so that a panic is one of its violations.
fn run_guarded(scenario: Scenario, point: Option<CrashPoint>) -> Report {
    let case = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            match scenario {
                Scenario::Submission => submission_case::run(point).await,
                _ => worker_case::run(scenario, point).await,
            }
        })
    });
    case.join().unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Report {
            struck: None,
            commands: Vec::new(),
            violations: vec![text.unwrap_or_else(|| "a panic without words".to_owned())],
        }
    })
}

/// A point, tried until it is reached.
fn run_point(point: CrashPoint) -> Report {
    let mut report = run_guarded(point.scenario, Some(point));
    for _ in 1..TRIES {
        if report.struck.is_some() || !report.violations.is_empty() {
            break;
        }
        report = run_guarded(point.scenario, Some(point));
    }
    report
}

/// All points, some at once.
fn run_all(points: Vec<CrashPoint>) -> Vec<(CrashPoint, Report)> {
    let waiting = Mutex::new(points.into_iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let reports = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(point) = next() {
                    let report = run_point(point);
                    reports
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((point, report));
                }
            });
        }
    });
    reports.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the selected points of a scenario; panics with all violations.
pub(crate) fn strike(scenario: Scenario, most: u64) {
    let selection = Selection::from_environment();
    if !selection.wants(scenario) {
        return;
    }
    let begun = Instant::now();
    let plain = run_guarded(scenario, None);
    assert!(
        plain.violations.is_empty(),
        "without any fault: {:#?}",
        plain.violations
    );
    let commands = relevant(plain.commands, most);
    let points = selection.points(scenario, commands.len() as u64);
    let count = points.len();
    let mut violated: BTreeMap<CrashPoint, Vec<String>> = BTreeMap::new();
    let mut missed = Vec::new();
    let mut struck: BTreeMap<String, BTreeSet<(Point, Fault)>> = BTreeMap::new();
    for (point, report) in run_all(points) {
        if !report.violations.is_empty() {
            violated.insert(point, report.violations);
        } else if let Some(command) = report.struck {
            struck.entry(command).or_default().insert((point.at, point.fault));
        } else {
            missed.push(point.to_string());
        }
    }
    missed.sort();
    say(&format!(
        "{scenario:?}: {} commands ({}), {count} points in {:?}; not reached: {missed:?}; struck in the fewest ways: {:?}",
        commands.len(),
        commands.join(" "),
        begun.elapsed(),
        ways(&struck, &commands),
    ));
    RUN.fetch_add((count - missed.len()) as u64, Ordering::Relaxed);
    MISSED.fetch_add(missed.len() as u64, Ordering::Relaxed);
    VIOLATED.fetch_add(violated.len() as u64, Ordering::Relaxed);
    say(&format!(
        "cases with a second mail so far: {}",
        SECOND_MAILS.load(Ordering::Relaxed)
    ));
    for (point, violations) in &violated {
        say(&format!("{point}:\n  {}", violations.join("\n  ")));
    }
    say(&format!(
        "crash points: {} run, {} not reached, {} violations",
        RUN.load(Ordering::Relaxed),
        MISSED.load(Ordering::Relaxed),
        VIOLATED.load(Ordering::Relaxed)
    ));
    assert!(violated.is_empty(), "{} of {count} points are violated", violated.len());
    assert!(
        missed.len() * MOST_MISSED <= count,
        "{} of {count} points could not be reached",
        missed.len()
    );
    let rarest = ways(&struck, &commands);
    let wanted = selection.ways();
    assert!(
        rarest.is_none_or(|(ways, _)| ways >= wanted),
        "struck in {rarest:?} ways instead of {wanted}"
    );
}

/// The kind of command that was struck in the fewest ways.
fn ways<'a>(
    struck: &BTreeMap<String, BTreeSet<(Point, Fault)>>,
    commands: &'a [String],
) -> Option<(usize, &'a String)> {
    commands
        .iter()
        .map(|command| (struck.get(command).map_or(0, BTreeSet::len), command))
        .min()
}

/// The commands up to the one that settles the mail, which is the last for the run; what follows is the worker's end.
fn relevant(mut commands: Vec<String>, most: u64) -> Vec<String> {
    if let Some(last) = commands.iter().rposition(|name| name == "settle_notification") {
        commands.truncate(last + 1);
    }
    commands.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    commands
}

#[expect(
    clippy::print_stdout,
    reason = "the figures of the suite; the test runner decides who sees them"
)]
fn say(line: &str) {
    println!("{line}");
}
