//! The examples of the demo, compiled in, and what each is designed to give.

use testfleet_model::Summary;

use crate::exit::Failure;

/// Where the examples expect the stub.
const URL: &str = "http://127.0.0.1:8765";

/// An example and what it gives against the stub.
#[derive(Debug)]
pub(super) struct Example {
    pub(super) file: &'static str,
    pub(super) title: &'static str,
    text: &'static str,
    total: u32,
    passed: u32,
    failed: u32,
    errors: u32,
}

pub(super) const EXAMPLES: &[Example] = &[
    Example {
        file: "support-bot.yaml",
        title: "Parallel: 48 questions to a support bot, up to 12 at once",
        text: include_str!("../../../../config/examples/support-bot.yaml"),
        total: 48,
        passed: 40,
        failed: 7,
        errors: 1,
    },
    Example {
        file: "ticket-flow.yaml",
        title: "Sequential: the life of a ticket in 8 steps, each using what the first one captured",
        text: include_str!("../../../../config/examples/ticket-flow.yaml"),
        total: 8,
        passed: 7,
        failed: 1,
        errors: 0,
    },
];

const SOURCES: &[(&str, &str)] = &[(
    "support-bot.jsonl",
    include_str!("../../../../config/examples/support-bot.jsonl"),
)];

/// Writes the examples to a temporary directory, for a stub at `url`.
pub(super) fn write(url: &str) -> Result<tempfile::TempDir, Failure> {
    let wrong = |error: std::io::Error| Failure::internal(format!("could not write the examples: {error}"));
    let directory = tempfile::tempdir().map_err(wrong)?;
    for example in EXAMPLES {
        let text = example.text.replace(URL, url);
        std::fs::write(directory.path().join(example.file), text).map_err(wrong)?;
    }
    for (file, text) in SOURCES {
        std::fs::write(directory.path().join(file), text).map_err(wrong)?;
    }
    Ok(directory)
}

impl Example {
    /// What differs from the design; `None` when nothing does.
    pub(super) fn difference(&self, summary: &Summary) -> Option<String> {
        let found = (
            summary.total_tests,
            summary.tests_passed,
            summary.tests_failed,
            summary.execution_errors,
        );
        let designed = (self.total, self.passed, self.failed, self.errors);
        let tell = |(total, passed, failed, errors): (u32, u32, u32, u32)| {
            format!("{passed} of {total} passed, {failed} failed, {errors} in error")
        };
        (found != designed).then(|| format!("{}: {}; designed: {}", self.file, tell(found), tell(designed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_design_is_what_the_examples_say_of_themselves() {
        for example in EXAMPLES {
            let head: String = example.text.lines().take_while(|line| line.starts_with('#')).collect();
            let fails = if example.failed == 1 { "fails" } else { "fail" };
            let ends = if example.errors == 1 { "ends" } else { "end" };
            let said = [
                format!("{} tests", example.total),
                format!("{} pass", example.passed),
                format!("{} {fails}", example.failed),
                format!("{} {ends} in error", example.errors),
            ];
            for words in said {
                assert!(head.contains(&words), "{}: {words}", example.file);
            }
        }
    }

    #[test]
    fn every_example_names_the_address_that_is_replaced() {
        let directory = write("http://stub.example:1").unwrap();
        for example in EXAMPLES {
            let text = std::fs::read_to_string(directory.path().join(example.file)).unwrap();
            assert!(
                text.contains("http://stub.example:1/") && !text.contains(URL),
                "{}",
                example.file
            );
        }
    }
}
