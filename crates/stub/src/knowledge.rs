//! What the stub knows: questions and answers, some of them wrong on purpose.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The compiled-in knowledge, that of the example configurations.
const EXAMPLE: &str = include_str!("../../../config/examples/knowledge.json");

/// Questions and answers. A question is found whatever its case, punctuation and spacing.
#[derive(Clone, Debug)]
pub struct Knowledge {
    fallback: String,
    entries: Vec<Entry>,
    by_question: HashMap<String, usize>,
}

/// One thing the stub knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The question.
    pub question: String,
    /// Other ways to ask it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// The answer.
    pub answer: String,
    /// Where the answer is from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The answer is wrong on purpose. For people who read the file; the stub does not look at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrong: bool,
    /// Why it is as it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The status to answer with; one above 399 sends an error instead of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Calls of the same run and test that get 503 before the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_first: Option<u32>,
}

impl Entry {
    /// A question and its answer.
    pub(crate) fn new(question: String, answer: String, wrong: bool) -> Self {
        Self {
            question,
            also: Vec::new(),
            answer,
            sources: Vec::new(),
            wrong,
            note: None,
            status: None,
            fail_first: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default = "no_idea")]
    fallback: String,
    entries: Vec<Entry>,
}

fn no_idea() -> String {
    "I do not know.".to_owned()
}

/// Why a knowledge file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// No JSON, or not of the expected shape.
    #[error("not a knowledge file: {0}")]
    Shape(#[from] serde_json::Error),
    /// Two entries answer the same question.
    #[error("the question {question:?} is there twice; case, punctuation and spacing make no difference")]
    Twice {
        /// The question as written the second time.
        question: String,
    },
    /// A record of a test set is no question with an answer.
    #[error("record {number} {problem}")]
    Record {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A question without a letter or digit could never be told from another.
    #[error("the question {question:?} has no letter or digit")]
    Blank {
        /// The question as written.
        question: String,
    },
    /// A status that no server may answer with.
    #[error("the status of {question:?} {problem}")]
    Status {
        /// The question as written.
        question: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Knowledge {
    /// The compiled-in knowledge.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    pub fn example() -> Self {
        Self::from_json(EXAMPLE).unwrap_or_else(|error| panic!("the compiled-in knowledge is broken: {error}"))
    }

    /// Reads the text of a knowledge file.
    ///
    /// # Errors
    /// When it is not JSON of the expected shape, or a question is blank or there twice.
    pub fn from_json(text: &str) -> Result<Self, KnowledgeError> {
        let document: Document = serde_json::from_str(text)?;
        let mut by_question = HashMap::new();
        for (index, entry) in document.entries.iter().enumerate() {
            if let Some(Err(problem)) = entry.status.map(crate::behaviour::status_code) {
                let question = entry.question.clone();
                return Err(KnowledgeError::Status { question, problem });
            }
            for question in std::iter::once(&entry.question).chain(&entry.also) {
                let key = normalise(question);
                if key.is_empty() {
                    let question = question.clone();
                    return Err(KnowledgeError::Blank { question });
                }
                if by_question.insert(key, index).is_some() {
                    let question = question.clone();
                    return Err(KnowledgeError::Twice { question });
                }
            }
        }
        Ok(Self {
            fallback: document.fallback,
            entries: document.entries,
            by_question,
        })
    }

    /// Entries of which the first one of each question holds.
    ///
    /// # Errors
    /// When a question is blank.
    pub(crate) fn of_first(all: Vec<Entry>) -> Result<Self, KnowledgeError> {
        let (mut entries, mut by_question) = (Vec::new(), HashMap::new());
        for entry in all {
            let key = normalise(&entry.question);
            if key.is_empty() {
                return Err(KnowledgeError::Blank {
                    question: entry.question,
                });
            }
            if let std::collections::hash_map::Entry::Vacant(vacant) = by_question.entry(key) {
                vacant.insert(entries.len());
                entries.push(entry);
            }
        }
        Ok(Self {
            fallback: no_idea(),
            entries,
            by_question,
        })
    }

    /// What is known about a question; `None` means the [fallback](Self::fallback).
    #[must_use]
    pub fn find(&self, question: &str) -> Option<&Entry> {
        let index = *self.by_question.get(&normalise(question))?;
        self.entries.get(index)
    }

    /// The answer to everything else.
    #[must_use]
    pub fn fallback(&self) -> &str {
        &self.fallback
    }

    /// Everything known, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Lower case; letters and digits only, single spaces between words; apostrophes join.
fn normalise(question: &str) -> String {
    let mut key = String::with_capacity(question.len());
    let mut gap = false;
    for character in question.chars() {
        if character.is_alphanumeric() {
            if gap && !key.is_empty() {
                key.push(' ');
            }
            gap = false;
            key.extend(character.to_lowercase());
        } else if !matches!(character, '\'' | '\u{2019}') {
            gap = true;
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_and_spacing_make_no_difference() {
        let expected = normalise("What's your return policy?");
        assert_eq!(normalise("  WHATS your\n return-policy "), expected);
        assert_eq!(normalise("what\u{2019}s your, return policy!!"), expected);
        assert_ne!(normalise("What is your return policy?"), expected);
    }

    #[test]
    fn a_question_asked_twice_is_refused() {
        let text = r#"{"entries":[{"question":"Hi","answer":"a"},{"question":"Bye","also":["hi!"],"answer":"b"}]}"#;
        assert!(matches!(Knowledge::from_json(text), Err(KnowledgeError::Twice { .. })));
    }

    #[test]
    fn the_compiled_in_knowledge_is_sound() {
        let knowledge = Knowledge::example();
        assert!(knowledge.entries().iter().any(|entry| entry.wrong));
        assert_eq!(knowledge.fallback(), "I do not know.");
    }
}
