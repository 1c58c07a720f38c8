//! Tests, and where they come from.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::attributes::Attributes;
use super::dialogue::{SimulatedUser, Turn};
use super::metric::Metric;
use crate::recorded::Recorded;
use crate::recovery::Earlier;

/// A set of tests: those written inline, and those in files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestSet {
    /// The backend's id of the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What every test has unless it says otherwise.
    #[serde(default, skip_serializing_if = "TestDefaults::is_empty")]
    pub defaults: TestDefaults,
    /// Files with tests; they come before `tests`, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Tests written in the document itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<TestCase>,
}

/// What every test of a set has unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestDefaults {
    /// Merged under the test's own `vars`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// Merged under the test's own `tags`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// For tests without a timeout of their own.
    #[serde(default, with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

impl TestDefaults {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file with tests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its path, relative to the configuration file.
    pub file: String,
    /// Its format; `None`: by the file's extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<SourceFormat>,
    /// What stands between two cells of a CSV file; `None`: a comma, or a tab where the file is called `.tsv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Which column or field holds what.
    #[serde(default, skip_serializing_if = "Columns::is_empty")]
    pub columns: Columns,
    /// Whether `input` and `messages` of this file are templates. They are data unless this says so.
    #[serde(default)]
    pub render: bool,
}

/// Formats of source files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceFormat {
    /// One JSON object a line.
    Jsonl,
    /// A JSON array of objects.
    Json,
    /// Comma-separated values with a header line.
    Csv,
    /// A YAML sequence of mappings.
    Yaml,
}

/// Our field name → the name in the file, for example `input: prompt_content`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(pub BTreeMap<String, String>);

impl Columns {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One test. This is also the payload that is stored in Redis, one per test of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestCase {
    /// Its id, unique within the set.
    pub id: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What is sent: the `input` of templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// A conversation instead of, or along with, `input`. Without it templates see one message of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message>>,
    /// Values for templates; data, never rendered.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// What a good answer looks like; metrics without a `value` compare with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_output: Option<Value>,
    /// Documents that belong to the question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<String>,
    /// Anything the author wants to find again.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// For filters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Metrics of this test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Whether those come in addition to the configuration's or instead of them.
    #[serde(default, skip_serializing_if = "MetricsMode::is_merge")]
    pub metrics_mode: MetricsMode,
    /// With it, the weighted mean of the scores (0 to 1) decides between pass and fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Replaces `per_test_timeout` for this test; never longer than it.
    #[serde(default, with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Leave it out; it is reported as skipped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skip: bool,
    /// Sequential: name → JSONPath over the response body, or template; later tests read `captured.<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, String>,
    /// Whether `input` and `messages` are templates: true for tests written in the configuration itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub render: bool,
    /// Ids of tests whose results it waits for. It is not run unless all of them passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// It is run whatever came of the tests it depends on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub always: bool,
    /// The group of `attributes.groups` whose limit it shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How often it is executed, 1 to [`MAX_REPEAT`]; `None`: as `attributes.repeat` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<u32>,
    /// What the user says, turn by turn, instead of `input`. `messages` come before the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Turn>,
    /// A user that a model plays, instead of `input` and `turns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated_user: Option<SimulatedUser>,
    /// Whether the turns after one that failed are left out. They are taken otherwise.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stop_on_failure: bool,
    /// The tools that are to be called: names, or names with arguments. `None`: nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_tools: Option<Vec<Value>>,
    /// Which repetition of a test this is. Submitting a test that is repeated makes them; nobody writes this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition: Option<Repetition>,
    /// What an earlier run has of the test, in a run that evaluates it again. Submitting stores it; nobody writes this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
    /// What became of the test before the recovery round it is in. The collection stores it; nobody writes this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Earlier>,
}

/// The most repetitions of a test.
pub const MAX_REPEAT: u32 = 1_000;

/// One of the repetitions of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repetition {
    /// From 1.
    pub number: u32,
    /// How many there are; at least 2.
    pub of: u32,
    /// The id of the test as it was written.
    pub test: String,
}

impl TestCase {
    /// How often the test is executed in a run with these attributes; at least 1. A test that is left out is reported
    /// once.
    #[must_use]
    pub fn repetitions(&self, attributes: &Attributes) -> u32 {
        if self.skip {
            return 1;
        }
        self.repeat.unwrap_or(attributes.repeat).clamp(1, MAX_REPEAT)
    }

    /// The tests that are executed for this one, in order: itself, or its repetitions with the ids `<id>#1`, `<id>#2`, …
    pub fn expand(self, attributes: &Attributes) -> impl Iterator<Item = Self> + use<> {
        let of = self.repetitions(attributes);
        let mut written = Some(self);
        (1..=of).filter_map(move |number| {
            // The last one is the test itself, so that one that is executed once is not copied.
            let mut test = if number == of {
                written.take()?
            } else {
                written.clone()?
            };
            test.repeat = None;
            if of > 1 {
                let repeated = repetition_id(&test.id, number);
                let id = std::mem::replace(&mut test.id, repeated);
                test.repetition = Some(Repetition { number, of, test: id });
            }
            Some(test)
        })
    }
}

/// The id of a repetition.
fn repetition_id(test: &str, number: u32) -> String {
    format!("{test}#{number}")
}

/// Test and number of what looks like the id of a repetition.
pub(super) fn split_repetition_id(id: &str) -> Option<(&str, u32)> {
    let (test, number) = id.rsplit_once('#')?;
    let number: u32 = number.parse().ok()?;
    (repetition_id(test, number) == id).then_some((test, number))
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// How a test's metrics and the configuration's go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsMode {
    /// Both.
    #[default]
    Merge,
    /// The test's own only.
    Replace,
}

impl MetricsMode {
    fn is_merge(&self) -> bool {
        *self == Self::Merge
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(repeat: Option<u32>) -> TestCase {
        TestCase {
            id: "a".to_owned(),
            repeat,
            ..TestCase::default()
        }
    }

    #[test]
    fn a_repeated_test_becomes_its_repetitions() {
        let attributes = Attributes::default();
        let expanded: Vec<TestCase> = test(Some(3)).expand(&attributes).collect();
        let ids: Vec<&str> = expanded.iter().map(|test| test.id.as_str()).collect();
        assert_eq!(ids, ["a#1", "a#2", "a#3"]);
        let last = expanded[2].repetition.as_ref().unwrap();
        assert_eq!((last.number, last.of, last.test.as_str()), (3, 3, "a"));
        assert!(expanded.iter().all(|test| test.repeat.is_none()));
    }

    #[test]
    fn a_test_that_is_executed_once_stays_as_it_is() {
        let attributes = Attributes {
            repeat: 5,
            ..Attributes::default()
        };
        for written in [
            test(Some(1)),
            TestCase {
                skip: true,
                ..test(None)
            },
        ] {
            let expanded: Vec<TestCase> = written.clone().expand(&attributes).collect();
            assert_eq!(
                expanded,
                [TestCase {
                    repeat: None,
                    ..written
                }]
            );
        }
        assert_eq!(test(None).expand(&attributes).count(), 5);
    }

    #[test]
    fn only_ids_that_repetitions_get_look_like_theirs() {
        assert_eq!(split_repetition_id("a#b#12"), Some(("a#b", 12)));
        for id in ["a", "a#", "a#01", "a#+1", "a# 1", "#x"] {
            assert_eq!(split_repetition_id(id), None, "{id}");
        }
    }
}
