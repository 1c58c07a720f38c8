//! `regex`: linear-time regular expressions, without look-around and back-references.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use testfleet_model::configuration::Metric;

use crate::excerpt::{quote, sentence, slashed};
use crate::finding::{Finding, Outcome};
use crate::problem::Problems;
use crate::subject::{Seen, Subject};

/// Bytes of a compiled pattern. Searching takes at most pattern × output, so this bounds time as well as memory.
pub(super) const SIZE_LIMIT: usize = 10 * 1_024 * 1_024;
/// Bytes of the cache a search may use.
pub(super) const CACHE_LIMIT: usize = 2 * 1_024 * 1_024;
/// Groups within groups.
const NEST_LIMIT: u32 = 100;

/// Looks for a match anywhere in the output.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Option<Regex>,
}

impl Pattern {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let regex = match &metric.value {
            None => None,
            Some(value) => Some(problems.take("value", build(value))?),
        };
        Some(Self { regex })
    }

    pub(super) fn run(&self, seen: &Seen<'_>, subject: &Subject<'_>) -> Outcome {
        let regex = match &self.regex {
            Some(regex) => Cow::Borrowed(regex),
            None => Cow::Owned(build(subject.expected()?)?),
        };
        let pattern = slashed(regex.as_str());
        Ok(match regex.find(seen.text()) {
            Some(found) => Finding::holds(true, format!("the pattern {pattern} matches {}", quote(found.as_str()))),
            None => Finding::holds(
                false,
                format!("the pattern {pattern} does not match the output {}", quote(seen.text())),
            ),
        })
    }
}

fn build(value: &serde_json::Value) -> Result<Regex, String> {
    let Some(pattern) = value.as_str() else {
        return Err("must be a regular expression as a text".to_owned());
    };
    RegexBuilder::new(pattern)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(CACHE_LIMIT)
        .nest_limit(NEST_LIMIT)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => format!(
                "the regular expression takes more than {limit} bytes compiled; use smaller repetitions, or (?-u:\\w) for ASCII only"
            ),
            other => format!(
                "not a regular expression of the regex crate (no look-around, no back-references): {}",
                sentence(&other.to_string(), 300)
            ),
        })
}
