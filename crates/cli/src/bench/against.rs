//! This program against another one: both measure the same, in turn, so that a machine which becomes slower or faster meanwhile
//! does so for both.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use serde::Serialize;
use serde_json::{Value, json};
use testfleet_model::{ExecutionMode, duration};
use tokio::process::Command;

use super::figure::{Figure, Measured, Spread, ranked, ratio};
use super::flag::Given;
use super::process;
use super::workload::Workload;
use crate::exit::Failure;
use crate::output::{self, Column, table};
use crate::session::Session;

/// Pairs where nobody said how many.
const PAIRS: u32 = 3;
/// Lines of what a program said that are shown when it failed.
const LAST_WORDS: usize = 5;

/// A case as one program measured it, once.
#[derive(Clone, Debug, PartialEq)]
struct One {
    title: String,
    measured: Measured,
}

/// A case as both measured it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pairing {
    title: String,
    this: Vec<Measured>,
    other: Vec<Measured>,
    figures: Vec<Comparison>,
}

/// A figure of both.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Comparison {
    figure: Figure,
    /// Medians.
    this: f64,
    other: f64,
    /// This median over the other; `None` where there is nothing to divide by.
    ratio: Option<f64>,
    /// The smallest and the largest ratio of a pair.
    ratio_min: Option<f64>,
    ratio_max: Option<f64>,
}

/// Measures in turn.
pub(super) async fn measure(
    other: &Path,
    workloads: &[Workload],
    given: &Given,
    session: &Session,
) -> Result<Vec<Pairing>, Failure> {
    let this = process::own_program()?;
    let repeat = given.repeat.unwrap_or(if given.quick { 1 } else { PAIRS });
    let mut pairings = Vec::new();
    for workload in workloads {
        let given = given.only(workload.takes());
        let arguments = arguments(*workload, &given);
        let settings = settings(*workload, &given, session);
        output::note(&format!(
            "{} against {}: {repeat} pairs",
            workload.name(),
            other.display()
        ));
        let mut pairs = Vec::new();
        for number in 1..=repeat {
            let mine = run(&this, &arguments, &settings).await?;
            let theirs = run(other, &arguments, &settings).await?;
            output::note(&format!("pair {number} of {repeat}: {}", in_short(&mine, &theirs)));
            pairs.push((mine, theirs));
        }
        let mut paired = pair_up(&pairs)?;
        if is_plain(*workload) {
            // Asked for without its name, it was measured under another one.
            paired.iter_mut().for_each(|pairing| pairing.title = workload.name());
        }
        pairings.extend(paired);
    }
    Ok(pairings)
}

/// What both are told. Whatever programs without workloads know is said in their words, so that this one can be compared with
/// an older one.
fn arguments(workload: Workload, given: &Given) -> Vec<String> {
    let plan = workload.plans(given, 1).into_iter().next();
    let tests = given
        .tests
        .or(plan.filter(|_| is_plain(workload)).map(|plan| plan.tests));
    let mut words: Vec<String> = vec!["bench".to_owned()];
    match workload {
        Workload::FanOut => {}
        Workload::Chain => words.extend(["--mode".to_owned(), ExecutionMode::Sequential.to_string()]),
        other => words.push(other.name()),
    }
    let mut value = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([flag.to_owned(), value]);
        }
    };
    value("--tests", tests.map(|tests| tests.to_string()));
    value("--runs", given.runs.map(|runs| runs.to_string()));
    value("--mode", given.mode.map(|mode| mode.to_string()));
    value("--workers", given.workers.map(|workers| workers.to_string()));
    value("--latency", given.latency.map(duration::format));
    value("--repeat", Some("1".to_owned()));
    value(
        "--concurrency",
        given
            .concurrency
            .filter(|_| !is_plain(workload))
            .map(|concurrency| concurrency.to_string()),
    );
    for (flag, is_given) in [
        ("--separate", given.separate),
        ("--limits", given.limits),
        ("--aof", given.append_only),
        ("--quick", given.quick && !is_plain(workload)),
        ("--json", true),
    ] {
        if is_given {
            words.push(flag.to_owned());
        }
    }
    words
}

/// Whether it can be asked for without being named.
fn is_plain(workload: Workload) -> bool {
    matches!(workload, Workload::FanOut | Workload::Chain)
}

/// What both find in their environment. So programs without workloads are told how many tests are in flight.
fn settings(workload: Workload, given: &Given, session: &Session) -> Vec<(&'static str, OsString)> {
    let mut settings = process::worker_settings(session);
    if let Some(concurrency) = given.concurrency.filter(|_| is_plain(workload)) {
        settings.push(("TESTFLEET_WORKER_CONCURRENCY", concurrency.to_string().into()));
    }
    if let Some(url) = session.redis() {
        let prefix = OsString::from(&session.settings.redis.prefix);
        settings.extend([
            ("TESTFLEET_REDIS_URL", url.expose().into()),
            ("TESTFLEET_REDIS_PREFIX", prefix),
        ]);
    }
    settings
}

async fn run(program: &Path, arguments: &[String], settings: &[(&'static str, OsString)]) -> Result<Vec<One>, Failure> {
    let named = program.display();
    let done = Command::new(program)
        .args(arguments)
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| {
            Failure::usage(format!(
                "could not start {named}: {error}; --against takes a testfleet program"
            ))
        })?;
    if !done.status.success() {
        return Err(Failure::internal(format!(
            "{named} {} did not measure ({}); it said:\n{}",
            arguments.join(" "),
            done.status,
            last_words(&String::from_utf8_lossy(&done.stderr))
        )));
    }
    read(&done.stdout).ok_or_else(|| {
        Failure::internal(format!(
            "{named} {} gave no measurement that can be read",
            arguments.join(" ")
        ))
    })
}

fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}

/// What a program printed: cases, or the one that programs without workloads measure. `None` when it is neither.
fn read(printed: &[u8]) -> Option<Vec<One>> {
    let document: Value = serde_json::from_slice(printed).ok()?;
    let Some(cases) = document.get("cases").and_then(Value::as_array) else {
        let measured = Measured::read(document.get("runs")?.get(0)?);
        return Some(vec![One {
            title: String::new(),
            measured,
        }]);
    };
    let one = |case: &Value| {
        let plan = case.get("plan")?;
        let name = plan.get("workload")?.as_str()?;
        let title = match plan.get("case").and_then(Value::as_str) {
            Some(case) => format!("{name}, {case}"),
            None => name.to_owned(),
        };
        let measured = Measured::read(case.get("runs")?.get(0)?);
        Some(One { title, measured })
    };
    cases.iter().map(one).collect()
}

/// `jobs/s 20731 against 19870`, of the first case.
fn in_short(mine: &[One], theirs: &[One]) -> String {
    let figure = |ones: &[One]| {
        let measured = ones.first().map(|one| &one.measured)?;
        [Figure::JobsPerS, Figure::FirstCallP50Ms]
            .into_iter()
            .find_map(|figure| Some((figure, measured.get(figure)?)))
    };
    match (figure(mine), figure(theirs)) {
        (Some((figure, mine)), Some((same, theirs))) if figure == same => format!(
            "{} {} against {}",
            figure.short(),
            figure.format(mine),
            figure.format(theirs)
        ),
        _ => "measured".to_owned(),
    }
}

/// From pairs of everything to everything of pairs.
fn pair_up(pairs: &[(Vec<One>, Vec<One>)]) -> Result<Vec<Pairing>, Failure> {
    let cases = pairs.first().map_or(0, |(mine, _)| mine.len());
    if pairs
        .iter()
        .any(|(mine, theirs)| mine.len() != cases || theirs.len() != cases)
    {
        return Err(Failure::internal(
            "the two programs measured different cases; compare one that measures the same",
        ));
    }
    let pairing = |at: usize| {
        let (this, other): (Vec<Measured>, Vec<Measured>) = pairs
            .iter()
            .map(|(mine, theirs)| (mine[at].measured.clone(), theirs[at].measured.clone()))
            .unzip();
        Pairing {
            title: pairs
                .first()
                .map_or_else(String::new, |(mine, _)| mine[at].title.clone()),
            figures: compare(&this, &other),
            this,
            other,
        }
    };
    Ok((0..cases).map(pairing).collect())
}

/// The figures that both have.
fn compare(this: &[Measured], other: &[Measured]) -> Vec<Comparison> {
    let (Some(mine), Some(theirs)) = (Spread::of(this), Spread::of(other)) else {
        return Vec::new();
    };
    let comparison = |figure: Figure| {
        let (mine, theirs) = (mine.median.get(figure)?, theirs.median.get(figure)?);
        let pairs = this.iter().zip(other);
        let ratios = ranked(
            pairs
                .filter_map(|(mine, theirs)| ratio(mine.get(figure)?, theirs.get(figure)?))
                .collect(),
        );
        Some(Comparison {
            figure,
            this: mine,
            other: theirs,
            ratio: ratio(mine, theirs),
            ratio_min: ratios.first().copied(),
            ratio_max: ratios.last().copied(),
        })
    };
    Figure::ALL.into_iter().filter_map(comparison).collect()
}

const COLUMNS: &[Column<Comparison>] = &[
    Column::text("figure", |row| row.figure.title().to_owned()),
    Column::number("this", |row| row.figure.format(row.this)),
    Column::number("other", |row| row.figure.format(row.other)),
    Column::number("this/other", |row| times(row.ratio)),
    Column::number("least of a pair", |row| times(row.ratio_min)),
    Column::number("most of a pair", |row| times(row.ratio_max)),
];

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"))
}

/// Shows the pairings.
pub(super) fn show(pairings: &[Pairing], other: &Path, session: &Session) -> Result<(), Failure> {
    if session.output.json {
        return session
            .output
            .json(&json!({ "other": other.display().to_string(), "pairings": pairings }));
    }
    let mut text = String::new();
    for pairing in pairings {
        let pairs = if pairing.this.len() == 1 { "pair" } else { "pairs" };
        text += &format!(
            "{}: this program against {}, medians of {} {pairs}\n{}\n",
            pairing.title,
            other.display(),
            pairing.this.len(),
            table(&pairing.figures, COLUMNS)
        );
    }
    session.output.text(text.trim_end())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rate(jobs_per_s: f64) -> Measured {
        Measured::default().with(Figure::JobsPerS, jobs_per_s)
    }

    fn ones(jobs_per_s: f64) -> Vec<One> {
        vec![One {
            title: "fan-out".to_owned(),
            measured: rate(jobs_per_s),
        }]
    }

    #[test]
    fn medians_and_the_ratios_of_pairs_are_told() {
        let pairs = [
            (ones(30.0), ones(10.0)),
            (ones(20.0), ones(20.0)),
            (ones(50.0), ones(25.0)),
        ];
        let pairings = pair_up(&pairs).unwrap();
        assert_eq!(pairings[0].title, "fan-out");
        assert_eq!(
            pairings[0].figures,
            [Comparison {
                figure: Figure::JobsPerS,
                this: 30.0,
                other: 20.0,
                ratio: Some(1.5),
                ratio_min: Some(1.0),
                ratio_max: Some(3.0),
            }]
        );
        assert_eq!(in_short(&pairs[0].0, &pairs[0].1), "jobs/s 30 against 10");
    }

    #[test]
    fn programs_that_measure_different_cases_are_not_compared() {
        assert!(pair_up(&[(ones(1.0), Vec::new())]).is_err());
    }

    #[test]
    fn an_older_program_is_understood_and_talked_to_in_its_words() {
        let printed = br#"{"plan": {"tests": 5}, "runs": [{"jobs_per_s": 7.0, "worker_rss_mib": null}], "spread": {}}"#;
        assert_eq!(read(printed).unwrap()[0].measured, rate(7.0));
        let given = Given {
            separate: true,
            ..Given::default()
        };
        let words = arguments(Workload::FanOut, &given).join(" ");
        assert_eq!(words, "bench --tests 100000 --repeat 1 --separate --json");
        let words = arguments(Workload::Chain, &Given::default()).join(" ");
        assert_eq!(words, "bench --mode Sequential --tests 10000 --repeat 1 --json");
    }

    #[test]
    fn cases_of_a_workload_are_read_in_order() {
        let printed =
            br#"{"cases": [{"plan": {"workload": "batch", "case": "8 per call"}, "runs": [{"jobs_per_s": 7}]},
            {"plan": {"workload": "http", "case": null}, "runs": [{"jobs_per_s": 9}]}]}"#;
        let read = read(printed).unwrap();
        let titles: Vec<&str> = read.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles, ["batch, 8 per call", "http"]);
        assert!(super::read(b"no JSON").is_none());
        let given = Given {
            latency: Some(Duration::from_millis(5)),
            quick: true,
            ..Given::default()
        };
        let words = arguments(Workload::Http, &given).join(" ");
        assert_eq!(words, "bench http --latency 5ms --repeat 1 --quick --json");
    }
}
