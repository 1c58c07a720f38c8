//! What `testfleet run` prints at the end: reads well without colour and without a terminal.

use std::borrow::Borrow;
use std::fmt::Write as _;

use testfleet_model::configuration::TestCase;
use testfleet_model::{FinalStatus, Status, Summary, TestResult};

use crate::story::Story;
use crate::style::Style;
use crate::visible::one_line;
use crate::worst::Worst;
use crate::{facts, facts::headline};

/// Results that are told in full unless somebody asks for more.
pub const DEFAULT_LISTED: usize = 20;

/// How to render.
#[derive(Clone, Copy, Debug)]
pub struct TextOptions<'a> {
    /// Whether to colour with ANSI escapes; for terminals.
    pub ansi: bool,
    /// Tests for their inputs and what was expected, found by id; may be empty, or incomplete.
    pub tests: &'a [TestCase],
    /// How many results that did not go well are told in full.
    pub max_listed: usize,
    /// Where to see the rest, read after "see": a command or an address.
    pub see: Option<&'a str>,
}

impl Default for TextOptions<'_> {
    fn default() -> Self {
        Self {
            ansi: false,
            tests: &[],
            max_listed: DEFAULT_LISTED,
            see: None,
        }
    }
}

/// The report of a run. Of the results only those that failed, are in error or inconclusive are told, worst
/// first and at most `max_listed`; the counts are the summary's.
#[must_use]
pub fn render(
    summary: &Summary,
    results: impl IntoIterator<Item = impl Borrow<TestResult>>,
    options: TextOptions<'_>,
) -> String {
    let mut worst = Worst::new(options.max_listed);
    for result in results {
        worst.add(result.borrow());
    }
    render_worst(summary, &worst, options)
}

/// The same for results that were picked before, for callers that read them page by page.
#[must_use]
pub fn render_worst(summary: &Summary, worst: &Worst, options: TextOptions<'_>) -> String {
    let style = Style { ansi: options.ansi };
    let mut text = String::new();
    push_head(&mut text, summary, style);
    let see = options.see.map_or_else(String::new, |see| format!("; see {see}"));
    for result in worst.iter() {
        // By id, so that callers need not keep a whole set to quote the few tests that are told.
        let test = options.tests.iter().find(|test| test.id == result.test_id);
        let story = Story::of(result, test);
        push_story(&mut text, &story, summary.tolerates(result), style);
        if let Some(more) = more_alike(worst, result) {
            let _ = writeln!(text, "\n{more}{see}");
        }
    }
    let unlisted = facts::not_well(summary).saturating_sub(worst.len() + worst.untold());
    if unlisted > 0 {
        let more = if worst.is_empty() { "not listed" } else { "more" };
        let _ = writeln!(text, "\n… and {unlisted} {more}{see}");
    }
    // Whoever reads a long list at a terminal sees its end, not its beginning.
    if !worst.is_empty() {
        let _ = writeln!(
            text,
            "\n{} in {}",
            coloured(summary, style, &headline(summary)),
            summary.execution_time
        );
    }
    text
}

/// `… and 45 more tests in the same error`, after the last of those that are told.
pub(crate) fn more_alike(worst: &Worst, result: &TestResult) -> Option<String> {
    match worst.untold_alike(result) {
        0 => None,
        1 => Some("… and 1 more test in the same error".to_owned()),
        more => Some(format!("… and {more} more tests in the same error")),
    }
}

fn push_head(text: &mut String, summary: &Summary, style: Style) {
    let name = one_line(&summary.test_configuration_name, 200);
    let _ = writeln!(
        text,
        "{}  {}",
        coloured(summary, style, &headline(summary)),
        style.bold(&name)
    );
    let _ = writeln!(text, "{}\n", summary.status_details);
    for (label, value) in facts::of(summary) {
        push_labelled(text, label, &value, style);
    }
}

fn push_labelled(text: &mut String, label: &str, value: &str, style: Style) {
    let _ = writeln!(text, "  {}{value}", style.faint(&format!("{label:<11}")));
}

fn push_story(text: &mut String, story: &Story, tolerated: bool, style: Style) {
    let word = match story.status {
        _ if tolerated => style.yellow("FLAKY"),
        Status::Error => style.red("ERROR"),
        Status::Inconclusive => style.yellow("UNDECIDED"),
        _ => style.red("FAIL"),
    };
    let _ = writeln!(text, "\n{word}  {}", style.bold(&story.test_id));
    if let Some(description) = &story.description {
        let _ = writeln!(text, "  {description}");
    }
    for (label, line) in &story.lines {
        push_labelled(text, label, line, style);
    }
}

fn coloured(summary: &Summary, style: Style, text: &str) -> String {
    match summary.final_status {
        FinalStatus::Completed if facts::is_well(summary) => style.green(text),
        FinalStatus::Completed | FinalStatus::Failed => style.red(text),
        FinalStatus::Partial | FinalStatus::Cancelled => style.yellow(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn the_report_of_a_partial_run() {
        let (summary, results) = example::partial();
        let tests = example::tests();
        let options = TextOptions {
            tests: &tests,
            ..TextOptions::default()
        };
        insta::assert_snapshot!(render(&summary, &results, options));
    }

    #[test]
    fn the_report_of_a_run_with_flaky_tests() {
        let (summary, results) = example::repeated();
        insta::assert_snapshot!(render(&summary, &results, TextOptions::default()));
    }

    #[test]
    fn the_report_of_a_run_with_tests_that_recovered() {
        let (summary, results) = example::recovered();
        insta::assert_snapshot!(render(&summary, &results, TextOptions::default()));
    }

    #[test]
    fn the_report_of_a_run_that_passed() {
        let (summary, results) = example::completed();
        insta::assert_snapshot!(render(&summary, &results, TextOptions::default()));
    }

    #[test]
    fn the_report_of_a_run_whose_gates_failed() {
        let (summary, results) = example::gated();
        insta::assert_snapshot!(render(&summary, &results, TextOptions::default()));
    }

    #[test]
    fn the_report_of_a_run_in_trouble() {
        let (summary, results) = example::troubled();
        let mut tests = example::tests();
        tests[0].id = "delivery-norway".to_owned();
        tests[0].input = Some("How long does delivery to {{ vars.country }} take?".to_owned());
        let options = TextOptions {
            tests: &tests,
            see: Some("testfleet run results RUN"),
            ..TextOptions::default()
        };
        insta::assert_snapshot!(render(&summary, &results, options));
    }

    #[test]
    fn a_long_list_is_cut_and_says_where_the_rest_is() {
        let (summary, results) = example::cut_short();
        let options = TextOptions {
            max_listed: 2,
            see: Some("testfleet results --status failed"),
            ..TextOptions::default()
        };
        insta::assert_snapshot!(render(&summary, &results, options));
    }

    #[test]
    fn hostile_data_steers_no_terminal() {
        let (summary, results) = example::hostile();
        let text = render(&summary, &results, TextOptions::default());
        assert!(
            text.chars().all(|c| c == '\n' || !crate::visible::steers(c)),
            "{text:?}"
        );
        assert!(text.lines().all(|line| line.chars().count() < 1_000));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let (summary, results) = example::partial();
        let plain = render(&summary, &results, TextOptions::default());
        let options = TextOptions {
            ansi: true,
            ..TextOptions::default()
        };
        let coloured = render(&summary, &results, options);
        let mut stripped = coloured.clone();
        for code in ["1", "2", "0", "1;31", "1;32", "1;33"] {
            stripped = stripped.replace(&format!("\x1b[{code}m"), "");
        }
        assert_ne!(coloured, plain);
        assert_eq!(stripped, plain);
    }

    #[test]
    fn a_test_of_another_set_is_not_quoted() {
        let (summary, results) = example::partial();
        let mut tests = example::tests();
        tests[5].id = "somebody-else".to_owned();
        let options = TextOptions {
            tests: &tests,
            ..TextOptions::default()
        };
        assert!(!render(&summary, &results, options).contains("You can return"));
    }
}
