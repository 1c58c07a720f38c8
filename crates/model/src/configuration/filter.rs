//! Filters of tests: `attributes.only` and `attributes.skip`.
//!
//! A filter is one text: `id:PATTERN`, `tag:NAME=PATTERN` or `status:WORD`. In a pattern `*` stands for any characters, none
//! included. Statuses are those of another run, which whoever applies the filters looks up; ids and tags are the test's own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::test_case::TestCase;
use crate::state::Status;

/// One filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TestFilter {
    /// Tests whose id fits.
    Id(Pattern),
    /// Tests with a tag of this name whose value fits.
    Tag {
        /// The name of the tag.
        name: String,
        /// What its value has to fit.
        value: Pattern,
    },
    /// Tests to which this happened in another run.
    Status(PastStatus),
}

impl TestFilter {
    /// Whether it takes the test. `past`: what became of it in the run that `status:` filters speak of.
    #[must_use]
    pub fn takes(&self, test: &TestCase, past: PastStatuses) -> bool {
        match self {
            Self::Id(pattern) => pattern.fits(&test.id),
            Self::Tag { name, value } => test.tags.get(name).is_some_and(|tag| value.fits(tag)),
            Self::Status(status) => past.is(*status),
        }
    }

    /// Whether it asks for what became of tests in another run.
    #[must_use]
    pub fn is_about_status(&self) -> bool {
        matches!(self, Self::Status(_))
    }
}

/// A text that is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", message)]
pub struct InvalidFilter {
    message: String,
}

impl FromStr for TestFilter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |message: String| InvalidFilter { message };
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let filled = |what: &str| match rest {
            "" => Err(refuse(format!("expected {what} after `{kind}:`"))),
            rest => Ok(rest),
        };
        match kind {
            "id" => Ok(Self::Id(Pattern(
                filled("the id of a test, or a pattern with *")?.to_owned(),
            ))),
            "tag" => match filled("NAME=VALUE")?.split_once('=') {
                Some((name, value)) if !name.is_empty() => Ok(Self::Tag {
                    name: name.to_owned(),
                    value: Pattern(value.to_owned()),
                }),
                _ => Err(refuse(format!(
                    "expected `tag:NAME=VALUE`, found {text:?}; `tag:NAME=*` takes every test with that tag"
                ))),
            },
            "status" => match PastStatus::from_word(filled("a status")?) {
                Some(status) => Ok(Self::Status(status)),
                None => Err(refuse(format!(
                    "{rest:?} is no status of a test; expected one of {}",
                    PastStatus::WORDS.map(|(_, word)| word).join(", ")
                ))),
            },
            _ => Err(refuse(format!(
                "expected `id:ID`, `tag:NAME=VALUE` or `status:STATUS`, found {text:?}"
            ))),
        }
    }
}

impl TryFrom<String> for TestFilter {
    type Error = InvalidFilter;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TestFilter> for String {
    fn from(filter: TestFilter) -> Self {
        filter.to_string()
    }
}

impl fmt::Display for TestFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(pattern) => write!(f, "id:{}", pattern.0),
            Self::Tag { name, value } => write!(f, "tag:{name}={}", value.0),
            Self::Status(status) => write!(f, "status:{}", status.word()),
        }
    }
}

/// A text in which `*` stands for any characters, none included; everything else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether the whole text fits. Takes time proportional to the product of both lengths at most.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            // Without a star it has to be the same.
            return rest.is_empty();
        };
        for part in parts {
            // The leftmost place leaves the most for what follows.
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// What became of a test in another run, as filters call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastStatus {
    /// It has a result with this status.
    Was(Status),
    /// That run has no result of it.
    New,
}

impl PastStatus {
    /// Every value with its word, in the order people are shown them.
    pub const WORDS: [(Self, &'static str); 8] = [
        (Self::Was(Status::Pass), "passed"),
        (Self::Was(Status::Fail), "failed"),
        (Self::Was(Status::Error), "error"),
        (Self::Was(Status::Inconclusive), "inconclusive"),
        (Self::Was(Status::NotRun), "not-run"),
        (Self::Was(Status::Cancelled), "cancelled"),
        (Self::Was(Status::Skipped), "skipped"),
        (Self::New, "new"),
    ];

    /// The word of filters.
    #[must_use]
    pub fn word(self) -> &'static str {
        let of = Self::WORDS.iter().find(|(status, _)| *status == self);
        of.map_or("new", |(_, word)| word)
    }

    /// The value of a word. The words of results (`Fail`, `NotRun`, …) mean the same, in any case.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let same = |other: &str| other.eq_ignore_ascii_case(word);
        let of_filters = Self::WORDS.iter().find(|(_, known)| same(known));
        let of_results = || Status::ALL.iter().find(|status| same(status.word()));
        of_filters
            .map(|(status, _)| *status)
            .or_else(|| of_results().map(|status| Self::Was(*status)))
    }
}

/// What became of a test in another run: of each of its repetitions, where it was repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PastStatuses(u8);

impl PastStatuses {
    /// The same, and a result with this status.
    #[must_use]
    pub fn with(self, status: Status) -> Self {
        Self(self.0 | bit(status))
    }

    /// Whether `status` is what became of it. A repeated test passed when all of its repetitions did; it has every other
    /// status that one of them has.
    #[must_use]
    pub fn is(self, status: PastStatus) -> bool {
        match status {
            PastStatus::New => self.0 == 0,
            PastStatus::Was(Status::Pass) => self.0 == bit(Status::Pass),
            PastStatus::Was(status) => self.0 & bit(status) != 0,
        }
    }
}

fn bit(status: Status) -> u8 {
    match status {
        Status::Pass => 1,
        Status::Fail => 2,
        Status::Inconclusive => 4,
        Status::Error => 8,
        Status::Cancelled => 16,
        Status::NotRun => 32,
        Status::Skipped => 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TestFilter {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("*c", "abcd", false),
            ("a*c", "ac", true),
            ("ab*bc", "abc", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*", "", true),
            ("**x**", "axb", true),
            ("ä*ü", "ä…ü", true),
            ("a.c", "abc", false),
            ("", "", true),
        ] {
            assert_eq!(Pattern(pattern.to_owned()).fits(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn filters_read_back_as_they_are_written() {
        for text in [
            "id:refund-01",
            "id:a:b*",
            "tag:area=refunds",
            "tag:area=*",
            "tag:area=a=b",
            "tag:empty=",
            "status:not-run",
            "status:new",
        ] {
            assert_eq!(filter(text).to_string(), text);
            let stored = serde_json::to_string(&filter(text)).unwrap();
            assert_eq!(serde_json::from_str::<TestFilter>(&stored).unwrap(), filter(text));
        }
        for (_, word) in PastStatus::WORDS {
            assert_eq!(PastStatus::from_word(word).unwrap().word(), word);
        }
        assert_eq!(filter("status:NotRun"), filter("status:not-run"));
        assert_eq!(filter("status:fail"), filter("status:failed"));
    }

    #[test]
    fn what_is_no_filter_is_refused_with_what_was_expected() {
        for (text, expected) in [
            (
                "refund-01",
                "expected `id:ID`, `tag:NAME=VALUE` or `status:STATUS`, found \"refund-01\"",
            ),
            ("id:", "expected the id of a test, or a pattern with * after `id:`"),
            ("tag:", "expected NAME=VALUE after `tag:`"),
            ("tag:area", "`tag:NAME=*` takes every test with that tag"),
            ("tag:=x", "expected `tag:NAME=VALUE`"),
            (
                "status:bad",
                "\"bad\" is no status of a test; expected one of passed, failed, error,",
            ),
            ("status", "expected a status after `status:`"),
        ] {
            let error = text.parse::<TestFilter>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_repeated_test_passed_when_all_of_its_repetitions_did() {
        let past = |statuses: &[Status]| statuses.iter().fold(PastStatuses::default(), |all, one| all.with(*one));
        let was = PastStatus::Was;
        let mixed = past(&[Status::Pass, Status::Fail, Status::Error]);
        assert!(mixed.is(was(Status::Fail)) && mixed.is(was(Status::Error)));
        assert!(!mixed.is(was(Status::Pass)) && !mixed.is(PastStatus::New));
        assert!(past(&[Status::Pass, Status::Pass]).is(was(Status::Pass)));
        assert!(past(&[]).is(PastStatus::New) && !past(&[]).is(was(Status::Pass)));
    }

    #[test]
    fn a_filter_takes_tests_by_id_tag_or_past() {
        let test = TestCase {
            id: "refund-01".to_owned(),
            tags: [("area".to_owned(), "refunds".to_owned())].into(),
            ..TestCase::default()
        };
        let past = PastStatuses::default().with(Status::Fail);
        for (text, takes) in [
            ("id:refund-*", true),
            ("id:refund", false),
            ("tag:area=refunds", true),
            ("tag:area=ref*", true),
            ("tag:team=*", false),
            ("status:failed", true),
            ("status:error", false),
        ] {
            assert_eq!(filter(text).takes(&test, past), takes, "{text}");
        }
    }
}
