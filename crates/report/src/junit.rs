//! JUnit XML for CI systems: one suite per run, written one result at a time, and one of its gates where it has any.
//!
//! `Fail` is a `failure`; `Error` and `Inconclusive` are an `error`, since neither says the test would pass;
//! `Skipped`, `NotRun` and `Cancelled` are `skipped`. A repetition that did not pass of a test that did is a `flakyFailure`
//! or `flakyError`, as Maven Surefire writes them: the case counts as passed. So is the error that a test had before the recovery
//! round in which it passed; of one that did not pass there, either, it is a `rerunError` beside what counts. Characters that XML 1.0 does not allow are left out, since
//! one of them makes the whole document unreadable. Outputs are cut to [`MAX_OUTPUT`] characters.

use std::fmt::Write as _;
use std::io::{self, Write};

use testfleet_model::result::ErrorClass;
use testfleet_model::summary::Repeats;
use testfleet_model::{Status, Summary, TestResult};

use crate::comparison;
use crate::story::{is_told_by_reasons, reasons, recovery, written};
use crate::verdict::gate_line;
use crate::visible;

/// Characters of an output that are written; of passed tests none.
pub const MAX_OUTPUT: usize = 4_000;
const MAX_MESSAGE: usize = 500;

/// Writes one document. Without [`Self::finish`] it is not complete.
pub struct JunitWriter<W> {
    out: W,
    repeats: Option<Repeats>,
    class_name: String,
    gates: Vec<GateCase>,
}

/// A gate, or the comparison with the baseline, as a test case.
struct GateCase {
    name: String,
    line: String,
    outcome: GateOutcome,
}

#[derive(PartialEq)]
enum GateOutcome {
    Holds,
    Warns,
    Fails,
}

impl<W: Write> JunitWriter<W> {
    /// Writes the head of the suite: counts, times and properties come from the summary.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn begin(mut out: W, summary: &Summary) -> io::Result<Self> {
        let decisive = summary.decisive_counts();
        let name = escaped(&summary.test_configuration_name);
        let gates = gate_cases(summary);
        let failed_gates = gates.iter().filter(|gate| gate.outcome == GateOutcome::Fails).count();
        let all_counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}\"",
            summary.total_tests as usize + gates.len(),
            decisive.failed as usize + failed_gates,
            decisive.errors + decisive.inconclusive,
            seconds(summary.total_execution_time_ms),
        );
        let counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\"",
            summary.total_tests,
            decisive.failed,
            decisive.errors + decisive.inconclusive,
            summary.tests_skipped + summary.tests_not_run + summary.tests_cancelled,
            seconds(summary.total_execution_time_ms),
        );
        let timestamp = summary.started_at.map_or_else(String::new, |time| {
            format!(" timestamp=\"{}\"", time.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
        });
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        // It has no `skipped` in the schemas that CI systems check.
        writeln!(out, "<testsuites name=\"testfleet\" {all_counts}>")?;
        writeln!(out, "  <testsuite name=\"{name}\" {counts}{timestamp}>")?;
        writeln!(out, "    <properties>")?;
        for (key, value) in properties(summary) {
            writeln!(out, "      <property name=\"{key}\" value=\"{}\"/>", escaped(&value))?;
        }
        writeln!(out, "    </properties>")?;
        Ok(Self {
            out,
            repeats: summary.repeats.clone(),
            class_name: name,
            gates,
        })
    }

    /// Writes one result.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn result(&mut self, result: &TestResult) -> io::Result<()> {
        let tolerated = self.repeats.as_ref().is_some_and(|repeats| repeats.tolerates(result));
        let mut inner = outcome(result, tolerated);
        if let Some(repeated) = self.repeated(result) {
            inner.insert_str(0, &repeated);
        }
        let head = format!(
            "    <testcase name=\"{}\" classname=\"{}\" time=\"{}\"",
            escaped(&display_name(result)),
            self.class_name,
            seconds(result.execution_time_ms),
        );
        if inner.is_empty() {
            writeln!(self.out, "{head}/>")
        } else {
            writeln!(self.out, "{head}>\n{inner}    </testcase>")
        }
    }

    /// Closes the document and flushes.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn finish(mut self) -> io::Result<W> {
        writeln!(self.out, "  </testsuite>")?;
        self.write_gates()?;
        writeln!(self.out, "</testsuites>")?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// How often the test of a repetition passed; `None` when it was not repeated, or is not among those that the summary
    /// lists.
    fn repeated(&self, result: &TestResult) -> Option<String> {
        let test = &result.repetition.as_ref()?.test;
        let listed = self
            .repeats
            .as_ref()?
            .list
            .iter()
            .find(|known| known.test_id == *test)?;
        let flaky = if listed.flaky { ", flaky" } else { "" };
        let told = format!("{} of {}{flaky}", listed.passed, listed.of);
        Some(format!(
            "      <properties>\n        <property name=\"repetitions_passed\" value=\"{told}\"/>\n      </properties>\n"
        ))
    }

    fn write_gates(&mut self) -> io::Result<()> {
        if self.gates.is_empty() {
            return Ok(());
        }
        let failed = self
            .gates
            .iter()
            .filter(|gate| gate.outcome == GateOutcome::Fails)
            .count();
        let count = self.gates.len();
        writeln!(
            self.out,
            "  <testsuite name=\"gates\" tests=\"{count}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"0.000\">"
        )?;
        for gate in &self.gates {
            let head = format!(
                "    <testcase name=\"{}\" classname=\"{} gates\" time=\"0.000\">",
                attribute(&gate.name),
                self.class_name
            );
            let line = attribute(&gate.line);
            let inner = match gate.outcome {
                GateOutcome::Holds => format!("<system-out>{line}</system-out>"),
                GateOutcome::Warns => format!("<system-out>warning: {line}</system-out>"),
                GateOutcome::Fails => format!("<failure message=\"{line}\" type=\"gate\">{line}</failure>"),
            };
            writeln!(self.out, "{head}\n      {inner}\n    </testcase>")?;
        }
        writeln!(self.out, "  </testsuite>")
    }
}

fn gate_cases(summary: &Summary) -> Vec<GateCase> {
    let mut cases: Vec<GateCase> = summary
        .gates
        .iter()
        .map(|gate| GateCase {
            name: gate.title(),
            line: gate_line(gate),
            outcome: match (gate.holds, gate.fails()) {
                (true, _) => GateOutcome::Holds,
                (false, true) => GateOutcome::Fails,
                (false, false) => GateOutcome::Warns,
            },
        })
        .collect();
    cases.extend(summary.baseline.as_ref().map(|baseline| {
        let compared = baseline.comparison.as_ref().map(comparison::headline);
        let parts = [baseline.reason.clone(), compared];
        GateCase {
            // Without the run, which changes: systems know a test case by its name.
            name: format!("baseline {}", baseline.name.as_deref().unwrap_or("run")),
            line: parts.into_iter().flatten().collect::<Vec<_>>().join("; "),
            outcome: if baseline.holds {
                GateOutcome::Holds
            } else {
                GateOutcome::Fails
            },
        }
    }));
    cases
}

/// Writes the whole document.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write<'a>(
    out: impl Write,
    summary: &Summary,
    results: impl IntoIterator<Item = &'a TestResult>,
) -> io::Result<()> {
    let mut writer = JunitWriter::begin(out, summary)?;
    for result in results {
        writer.result(result)?;
    }
    writer.finish().map(drop)
}

fn properties(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("test_run_id", summary.test_run_id.to_string()),
        ("final_status", summary.final_status.word().to_owned()),
        ("execution_mode", summary.execution_mode.name().to_owned()),
        ("endpoint", summary.endpoint_name.clone()),
    ];
    let optional = [
        ("test_set", &summary.test_set_name),
        ("project", &summary.project_name),
        ("test_configuration_id", &summary.test_configuration_id),
    ];
    all.extend(
        optional
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.clone()?))),
    );
    if let Some(repeats) = &summary.repeats {
        all.push(("repeated_tests", repeats.tests.to_string()));
        all.push(("repeated_tests_passed", repeats.passed.to_string()));
        all.push(("flaky_tests", repeats.flaky.to_string()));
    }
    if summary.recovery_rounds > 0 {
        all.push(("recovery_rounds", summary.recovery_rounds.to_string()));
        all.push(("tests_recovered", summary.tests_recovered.to_string()));
    }
    all.extend(
        summary
            .stop_reason
            .map(|reason| ("stop_reason", reason.word().to_owned())),
    );
    all
}

fn display_name(result: &TestResult) -> String {
    match &result.description {
        Some(description) => format!("{} ({description})", result.test_id),
        None => result.test_id.clone(),
    }
}

/// The elements inside of a test case; empty for a test that passed.
fn outcome(result: &TestResult, tolerated: bool) -> String {
    let flaky = || earlier("flakyError", result);
    let rerun = || earlier("rerunError", result);
    match result.status {
        Status::Fail if tolerated => failure("flakyFailure", result, &flaky()),
        Status::Error | Status::Inconclusive if tolerated => failure("flakyError", result, &flaky()),
        Status::Pass => flaky(),
        Status::Fail => failure("failure", result, &rerun()),
        Status::Error | Status::Inconclusive => failure("error", result, &rerun()),
        Status::Skipped => skipped("left out on purpose"),
        Status::NotRun => skipped(&with_reason("never started", result)),
        Status::Cancelled => skipped(&with_reason("cancelled before it was finished", result)),
    }
}

/// What a test was in error for before its recovery round, as another execution of it; empty where there was none.
fn earlier(element: &str, result: &TestResult) -> String {
    let error = result.recovery.as_ref().and_then(|recovery| recovery.error.as_ref());
    // A test that was held back by another one was not executed before.
    let Some(error) = error.filter(|error| error.class != ErrorClass::Dependency) else {
        return String::new();
    };
    let text = format!("recovery {}", recovery(result).unwrap_or_default());
    format!(
        "      <{element} message=\"{}\" type=\"{}\">{}</{element}>\n",
        attribute(&error.message),
        error.class.word(),
        escaped(&visible::lines(&text, MAX_OUTPUT)),
    )
}

fn with_reason(what: &str, result: &TestResult) -> String {
    match &result.error {
        Some(error) => format!("{what}: {}", error.message),
        None => what.to_owned(),
    }
}

fn skipped(message: &str) -> String {
    format!("      <skipped message=\"{}\"/>\n", attribute(message))
}

/// `others`: the elements of other executions, which stand before what was put out.
fn failure(element: &str, result: &TestResult, others: &str) -> String {
    let mut reasons = reasons(result);
    let kind = match (&result.error, result.status) {
        (Some(error), _) => error.class.word().to_owned(),
        (None, Status::Inconclusive) => "inconclusive".to_owned(),
        (None, _) => first_failing_kind(result),
    };
    if let Some(error) = result.error.as_ref().filter(|_| !is_told_by_reasons(result)) {
        let status = error
            .http_status
            .map_or_else(String::new, |status| format!(" (HTTP {status})"));
        reasons.insert(0, format!("{}{status}", error.message));
    }
    let mut text = reasons.join("\n");
    if result.attempts > 1 {
        let _ = write!(text, "\nafter {} attempts", result.attempts);
    }
    let mut xml = format!(
        "      <{element} message=\"{}\" type=\"{}\">{}</{element}>\n",
        attribute(&reasons.join("; ")),
        attribute(&kind),
        escaped(&visible::lines(&text, MAX_OUTPUT)),
    );
    xml.push_str(others);
    let output = result.output.as_ref().map(written);
    let body = result.error.as_ref().and_then(|error| error.body.clone());
    if let Some(output) = output.or(body) {
        let shown = escaped(&visible::lines(&output, MAX_OUTPUT));
        let _ = writeln!(xml, "      <system-out>{shown}</system-out>");
    }
    xml
}

fn first_failing_kind(result: &TestResult) -> String {
    let failing = result
        .all_metrics()
        .find(|(_, metric)| metric.counts && metric.is_successful == Some(false));
    failing.map_or_else(|| "metric".to_owned(), |(_, metric)| metric.kind.clone())
}

fn seconds(milliseconds: f64) -> String {
    format!("{:.3}", milliseconds.max(0.0) / 1_000.0)
}

fn attribute(text: &str) -> String {
    escaped(&visible::one_line(text, MAX_MESSAGE))
}

/// Escapes for text and attributes alike, and leaves out what XML 1.0 does not allow.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' | '\t' => xml.push(c),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => xml.push(c),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn rendered(summary: &Summary, results: &[TestResult]) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes, summary, results).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_report_of_a_partial_run() {
        let (summary, results) = example::partial();
        insta::assert_snapshot!(rendered(&summary, &results));
    }

    #[test]
    fn hostile_data_leaves_the_document_readable() {
        let (summary, results) = example::hostile();
        let xml = rendered(&summary, &results);
        let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        assert_eq!(report.test_suites.len(), 1);
        assert_eq!(report.test_suites[0].test_cases.len(), results.len());
        assert!(!xml.chars().any(|c| c.is_control() && c != '\n'), "{xml}");
    }

    #[test]
    fn what_a_policy_tolerates_is_flaky_and_no_failure() {
        let (summary, results) = example::repeated();
        let xml = rendered(&summary, &results);
        let suite = &quick_junit::Report::deserialize_from_str(&xml).unwrap().test_suites[0];
        assert_eq!((suite.tests, suite.failures, suite.errors), (6, 2, 0));
        assert_eq!(xml.matches("<failure ").count(), 2);
        let flaky = xml
            .split("<testcase ")
            .find(|case| case.contains("<flakyFailure "))
            .unwrap();
        assert!(flaky.starts_with("name=\"small-talk#2\""), "{flaky}");
    }

    #[test]
    fn a_test_that_recovered_is_flaky_and_one_that_did_not_was_run_again() {
        let (summary, results) = example::recovered();
        let xml = rendered(&summary, &results);
        let suite = &quick_junit::Report::deserialize_from_str(&xml).unwrap().test_suites[0];
        assert_eq!((suite.tests, suite.failures, suite.errors), (4, 1, 1));
        let told: Vec<(usize, usize)> = suite
            .test_cases
            .iter()
            .map(|case| match &case.status {
                quick_junit::TestCaseStatus::Success { flaky_runs } => (flaky_runs.len(), 0),
                quick_junit::TestCaseStatus::NonSuccess { reruns, .. } => (0, reruns.runs.len()),
                quick_junit::TestCaseStatus::Skipped { .. } => (0, 0),
            })
            .collect();
        assert_eq!(told, [(1, 0), (0, 1), (0, 1), (0, 0)]);
        assert!(
            xml.contains("<property name=\"tests_recovered\" value=\"2\"/>"),
            "{xml}"
        );
        insta::assert_snapshot!("junit_recovered", xml);
    }

    #[test]
    fn gates_are_a_suite_of_their_own() {
        let (summary, results) = example::gated();
        let xml = rendered(&summary, &results);
        let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        assert_eq!((report.tests, report.failures, report.errors), (15, 2, 0));
        let [tests, gates] = &report.test_suites[..] else {
            panic!("{xml}");
        };
        assert_eq!((tests.tests, tests.failures), (10, 0));
        assert_eq!((gates.tests, gates.failures, gates.test_cases.len()), (5, 2, 5));
        let (_, suite) = xml.split_once("<testsuite name=\"gates\"").unwrap();
        insta::assert_snapshot!("junit_gates", suite);
    }

    #[test]
    fn a_repetition_says_how_often_its_test_passed() {
        let (summary, results) = example::repeated();
        let xml = rendered(&summary, &results);
        let case = xml
            .split("<testcase ")
            .find(|case| case.starts_with("name=\"small-talk#1\""))
            .unwrap();
        assert!(
            case.contains("<property name=\"repetitions_passed\" value=\"2 of 3, flaky\"/>"),
            "{case}"
        );
    }

    #[test]
    fn counts_are_those_of_the_written_cases() {
        let (summary, results) = example::partial();
        let xml = rendered(&summary, &results);
        let suite = &quick_junit::Report::deserialize_from_str(&xml).unwrap().test_suites[0];
        assert_eq!((suite.tests, suite.failures, suite.errors), (10, 2, 2));
        assert_eq!(suite.test_cases.len(), 10);
    }
}
