//! Two runs compared, as `run diff` prints it: what changed, worst first, and whether chance alone would explain it.

use std::fmt::Write as _;

use testfleet_model::comparison::{Change, ChangeKind, Comparison, PairedChange, Standing};

use crate::number::grouped;
use crate::style::Style;
use crate::visible::one_line;

const MAX_ID: usize = 120;
const MAX_NAME: usize = 60;
const MAX_REASON: usize = 200;

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What it was asked for by: a run, a file, a baseline.
    pub named: &'a str,
    /// The name of its configuration.
    pub configuration: &'a str,
    /// Tests in it.
    pub tests: usize,
}

/// The comparison as text, `ansi` for a terminal that takes colours.
#[must_use]
pub fn render(before: Side<'_>, after: Side<'_>, comparison: &Comparison, ansi: bool) -> String {
    let style = Style { ansi };
    let mut text = String::new();
    let head = headline(comparison);
    let _ = writeln!(text, "{}\n", coloured(comparison, style, &head));
    for (label, side) in [("before", before), ("after", after)] {
        let named = one_line(side.named, MAX_ID);
        let name = one_line(side.configuration, MAX_ID);
        let noun = if side.tests == 1 { "test" } else { "tests" };
        push(
            &mut text,
            style,
            label,
            &format!("{named}  {name}, {} {noun}", side.tests),
        );
    }
    push(&mut text, style, "passed", &passed_line(comparison));
    push(&mut text, style, "chance", &chance_line(comparison));
    if let Some(latency) = &comparison.latency_ms {
        push(&mut text, style, "latency", &paired_line(latency, " ms"));
    }
    for (at, (name, change)) in comparison.scores.iter().enumerate() {
        let label = if at == 0 { "scores" } else { "" };
        push(
            &mut text,
            style,
            label,
            &format!("{}: {}", one_line(name, MAX_NAME), paired_line(change, "")),
        );
    }
    if comparison.not_compared > 0 {
        let line = format!(
            "{} that were cancelled, skipped or never started in one of them",
            comparison.not_compared
        );
        push(&mut text, style, "left out", &line);
    }
    push_changes(&mut text, style, comparison);
    text
}

/// `3 regressed, 1 improved, 96 unchanged, 2 new, 1 removed; p = 0.625, not significant`.
pub(crate) fn headline(comparison: &Comparison) -> String {
    let mut parts = vec![
        format!("{} regressed", comparison.regressed),
        format!("{} improved", comparison.improved),
        format!("{} unchanged", comparison.unchanged),
    ];
    let extra = [
        (comparison.new, "new"),
        (comparison.removed, "removed"),
        (comparison.not_compared, "not compared"),
    ];
    parts.extend(
        extra
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}")),
    );
    let verdict = match comparison.significant {
        false => "not significant",
        true if comparison.is_significantly_worse() => "significantly worse",
        true => "significantly better",
    };
    format!("{}; p = {}, {verdict}", parts.join(", "), p_text(comparison.p_value))
}

/// `regressed  refund-window: Pass → Fail`.
pub(crate) fn change_line(change: &Change) -> String {
    format!(
        "{} {}: {}",
        change.change.word(),
        one_line(&change.test_id, MAX_ID),
        what_changed(change)
    )
}

/// Changes beyond so many of them.
pub(crate) fn unlisted(comparison: &Comparison, told: usize) -> u32 {
    let listed = u32::try_from(comparison.listed.len().saturating_sub(told)).unwrap_or(u32::MAX);
    listed.saturating_add(comparison.unlisted)
}

fn push(text: &mut String, style: Style, label: &str, line: &str) {
    let _ = writeln!(text, "  {}{line}", style.faint(&format!("{label:<11}")));
}

fn passed_line(comparison: &Comparison) -> String {
    let of = comparison.compared();
    let percent = |passed: u32| grouped(f64::from(passed) * 100.0 / f64::from(of.max(1)), 1);
    format!(
        "{} of {of} before ({} %), {} after ({} %)",
        comparison.passed_before,
        percent(comparison.passed_before),
        comparison.passed_after,
        percent(comparison.passed_after),
    )
}

/// What the p-value says, in words, and where the tests are too few for it to say anything.
fn chance_line(comparison: &Comparison) -> String {
    let p_value = p_text(comparison.p_value);
    let alpha = grouped(comparison.alpha, 4);
    if comparison.significant {
        return format!("explains this with p = {p_value}, no more than {alpha} (McNemar's exact test)");
    }
    let changed = comparison.regressed + comparison.improved;
    let least = least_changes(comparison.alpha);
    let too_few = if changed < least {
        format!("; it takes at least {least} tests that changed, all the same way, to say more")
    } else {
        String::new()
    };
    format!("may explain this: p = {p_value}, more than {alpha} (McNemar's exact test){too_few}")
}

/// The fewest tests that can be significant: all changed the same way, of which the probability is 2 × 0.5ⁿ.
fn least_changes(alpha: f64) -> u32 {
    (1..64)
        .find(|changed| 2.0 * 0.5f64.powi(*changed) <= alpha)
        .map_or(64, i32::unsigned_abs)
}

fn paired_line(change: &PairedChange, unit: &str) -> String {
    format!(
        "mean {} → {}{unit} over {} tests; {} rose, {} fell, p = {}",
        grouped(change.mean_before, 3),
        grouped(change.mean_after, 3),
        change.tests,
        change.rose,
        change.fell,
        p_text(change.p_value)
    )
}

fn push_changes(text: &mut String, style: Style, comparison: &Comparison) {
    let mut last = None;
    let width = comparison
        .listed
        .iter()
        .map(|change| one_line(&change.test_id, MAX_ID).chars().count())
        .max();
    let width = width.unwrap_or(0).min(48);
    for change in &comparison.listed {
        if last != Some(change.change) {
            let _ = writeln!(text, "\n{}", heading(change.change, comparison, style));
            last = Some(change.change);
        }
        let id = one_line(&change.test_id, MAX_ID);
        let _ = writeln!(text, "  {id:<width$}  {}", what_changed(change));
    }
    if comparison.unlisted > 0 {
        let _ = writeln!(text, "\n… and {} more; --limit shows more", comparison.unlisted);
    }
}

fn heading(kind: ChangeKind, comparison: &Comparison, style: Style) -> String {
    match kind {
        ChangeKind::Regressed => style.red(&format!("REGRESSED  {}", comparison.regressed)),
        ChangeKind::Improved => style.green(&format!("IMPROVED  {}", comparison.improved)),
        ChangeKind::Uncertain => style.yellow(&format!(
            "UNCERTAIN  {}: another status, within what so few repetitions explain",
            comparison.uncertain
        )),
        ChangeKind::Removed => style.bold(&format!("REMOVED  {}", comparison.removed)),
        ChangeKind::New => style.bold(&format!("NEW  {}", comparison.new)),
    }
}

fn what_changed(change: &Change) -> String {
    if let Some(reason) = &change.reason {
        return one_line(reason, MAX_REASON);
    }
    let sides = match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{} → {}", standing(before), standing(after)),
        (Some(only), None) | (None, Some(only)) => standing(only),
        (None, None) => String::new(),
    };
    match change.p_value {
        Some(p_value) => format!("{sides}, p = {}", p_text(p_value)),
        None => sides,
    }
}

/// `Fail`, or `Fail (3/5)` where it was repeated.
fn standing(standing: &Standing) -> String {
    if standing.of > 1 {
        format!("{} ({}/{})", standing.status, standing.passed, standing.of)
    } else {
        standing.status.to_string()
    }
}

/// Three digits, and small ones as powers of ten.
fn p_text(p_value: f64) -> String {
    if p_value >= 0.001 {
        grouped(p_value, 3)
    } else {
        format!("{p_value:.1e}")
    }
}

fn coloured(comparison: &Comparison, style: Style, text: &str) -> String {
    if comparison.regressed > 0 {
        style.red(text)
    } else if comparison.improved > 0 {
        style.green(text)
    } else {
        style.bold(text)
    }
}

#[cfg(test)]
mod tests {
    use testfleet_model::Status;
    use testfleet_model::comparison::{Outcomes, TestOutcome, compare};
    use testfleet_model::configuration::ComparisonRules;

    use super::*;
    use crate::example::RUN;

    fn outcomes(tests: &[(&str, Status, u32, u32, f64)]) -> Outcomes {
        let outcome = |(id, status, passed, executed, score): &(&str, Status, u32, u32, f64)| {
            let outcome = TestOutcome {
                status: *status,
                passed: *passed,
                executed: *executed,
                latency_ms: Some(100.0 * score),
                scores: vec![(0, *score)],
            };
            ((*id).to_owned(), outcome)
        };
        Outcomes {
            metrics: vec![("tone".to_owned(), "llm-rubric".to_owned())],
            tests: tests.iter().map(outcome).collect(),
        }
    }

    #[test]
    fn a_comparison_reads_from_what_is_worst_to_what_is_new() {
        use Status::{Error, Fail, Pass};
        let before = outcomes(&[
            ("greeting", Pass, 1, 1, 0.9),
            ("refund-window", Pass, 5, 5, 0.9),
            ("small-talk", Pass, 5, 5, 0.8),
            ("opening-hours", Fail, 0, 1, 0.4),
            ("gone", Pass, 1, 1, 1.0),
            ("same", Pass, 1, 1, 1.0),
        ]);
        let after = outcomes(&[
            ("greeting", Error, 0, 1, 0.7),
            ("refund-window", Fail, 0, 5, 0.3),
            ("small-talk", Fail, 4, 5, 0.7),
            ("opening-hours", Pass, 1, 1, 0.9),
            ("evil\x1b[2J", Pass, 1, 1, 1.0),
            ("same", Pass, 1, 1, 1.0),
        ]);
        let comparison = compare(&before, &after, &ComparisonRules::default(), 6);
        let side = |named, outcomes: &Outcomes| Side {
            named,
            configuration: "Support bot",
            tests: outcomes.tests.len(),
        };
        let text = render(side(RUN, &before), side("report/new.json", &after), &comparison, false);
        insta::assert_snapshot!(text);
        let coloured = render(side(RUN, &before), side("report/new.json", &after), &comparison, true);
        let mut stripped = coloured.clone();
        for code in ["1", "2", "0", "1;31", "1;32", "1;33"] {
            stripped = stripped.replace(&format!("\x1b[{code}m"), "");
        }
        assert!(coloured != text && stripped == text);
        let cut = compare(&before, &after, &ComparisonRules::default(), 2);
        let text = render(side(RUN, &before), side("b", &after), &cut, false);
        assert!(text.ends_with("… and 4 more; --limit shows more\n"), "{text}");
    }

    #[test]
    fn the_least_number_of_changes_is_that_of_the_exact_test() {
        assert_eq!([0.05, 0.1, 0.01, 0.001].map(least_changes), [6, 5, 8, 11]);
    }
}
