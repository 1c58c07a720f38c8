//! Knowledge made of a test set: the stub answers its questions as the set expects, some of them wrong on purpose.

use serde_json::Value;

use crate::knowledge::{Entry, Knowledge, KnowledgeError};

/// Where questions are, in the order in which fields are looked for.
const QUESTIONS: [&str; 6] = ["question", "input", "user_input", "prompt_content", "prompt", "query"];
/// Where answers are.
const ANSWERS: [&str; 7] = [
    "answer",
    "target",
    "reference",
    "expected_output",
    "expected_response",
    "ground_truth",
    "answer_matching_behavior",
];

/// How a test set becomes knowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The field with the question; else the first of the names that test sets use.
    pub question: Option<String>,
    /// The field with the answer; else the first of the names that test sets use.
    pub answer: Option<String>,
    /// Every so many records the answer is wrong, counted from the first one; `None`: never.
    pub wrong_every: Option<usize>,
    /// What is answered then.
    pub wrong_answer: String,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            question: None,
            answer: None,
            wrong_every: None,
            wrong_answer: "I am not sure about that.".to_owned(),
        }
    }
}

impl Answers {
    /// Reads a set: JSON Lines, a JSON list, or CSV with a header, as the text looks like. A question may be a text or a list of
    /// messages, of which the last one of the user counts; of several answers in a list the first one does. Where a question is
    /// asked again, its first record holds.
    ///
    /// # Errors
    /// When the text is none of these, or a record has no question or no answer.
    pub fn read(&self, text: &str) -> Result<Knowledge, KnowledgeError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, record) in records(text)?.iter().enumerate() {
            let number = index + 1;
            let missing = |what: &str| KnowledgeError::Record {
                number,
                problem: format!("has no {what}"),
            };
            let question = field(record, self.question.as_deref(), &QUESTIONS).and_then(question);
            let question = question.ok_or_else(|| missing("question"))?;
            let answer = field(record, self.answer.as_deref(), &ANSWERS).and_then(answer);
            let answer = answer.ok_or_else(|| missing("answer"))?;
            let wrong = self
                .wrong_every
                .is_some_and(|every| every > 0 && number.is_multiple_of(every));
            let answer = if wrong { self.wrong_answer.clone() } else { answer };
            entries.push(Entry::new(question, answer, wrong));
        }
        Knowledge::of_first(entries)
    }
}

fn records(text: &str) -> Result<Vec<Value>, KnowledgeError> {
    let text = text.trim_start_matches('\u{feff}');
    match text.trim_start().chars().next() {
        Some('[') => Ok(serde_json::from_str(text)?),
        Some('{') => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.map(|line| Ok(serde_json::from_str(line)?)).collect()
        }
        _ => {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let rows = reader
                .deserialize::<std::collections::HashMap<String, String>>()
                .enumerate();
            rows.map(|(index, row)| {
                let row = row.map_err(|error| KnowledgeError::Record {
                    number: index + 1,
                    problem: format!("is no row of the table: {error}"),
                })?;
                Ok(Value::Object(
                    row.into_iter().map(|(name, cell)| (name, cell.into())).collect(),
                ))
            })
            .collect()
        }
    }
}

fn field<'r>(record: &'r Value, wanted: Option<&str>, known: &[&str]) -> Option<&'r Value> {
    match wanted {
        Some(name) => record.get(name),
        None => known.iter().find_map(|name| record.get(*name)),
    }
}

fn question(value: &Value) -> Option<String> {
    match value {
        Value::Array(messages) => {
            let last = messages.iter().rfind(|message| message["role"] == "user")?;
            last["content"].as_str().map(str::to_owned)
        }
        other => answer(other),
    }
}

fn answer(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(items) => items.first().and_then(answer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nth_record_is_answered_wrongly_and_the_first_of_a_question_holds() {
        let text = "{\"question\": \"a\", \"answer\": \"1\"}\n\n{\"question\": \"b\", \"answer\": 2}\n{\"question\": \"A?\", \"answer\": \"3\"}\n";
        let answers = Answers {
            wrong_every: Some(2),
            ..Answers::default()
        };
        let knowledge = answers.read(text).unwrap();
        let said = |question| {
            knowledge
                .find(question)
                .map(|entry| (entry.answer.as_str(), entry.wrong))
        };
        assert_eq!(said("a"), Some(("1", false)));
        assert_eq!(said("b"), Some(("I am not sure about that.", true)));
        assert_eq!(knowledge.entries().len(), 2);
    }

    #[test]
    fn sets_of_other_tools_are_understood() {
        let sets = [
            r#"[{"input": [{"role": "system", "content": "x"}, {"role": "user", "content": "q"}], "target": ["a", "b"]}]"#,
            r#"{"user_input": "q", "reference": "a"}"#,
            "prompt_content,expected_response,topic\nq,a,t\n",
        ];
        for set in sets {
            let knowledge = Answers::default().read(set).unwrap();
            assert_eq!(knowledge.find("Q!").unwrap().answer, "a", "{set}");
        }
        let named = Answers {
            question: Some("frage".to_owned()),
            answer: Some("antwort".to_owned()),
            ..Answers::default()
        };
        assert_eq!(
            named
                .read(r#"{"frage": "q", "antwort": "a", "question": "x"}"#)
                .unwrap()
                .find("q")
                .unwrap()
                .answer,
            "a"
        );
    }

    #[test]
    fn a_record_without_a_question_is_named() {
        let error = Answers::default()
            .read("{\"question\": \"a\", \"answer\": \"b\"}\n{\"answer\": \"b\"}")
            .unwrap_err();
        assert_eq!(error.to_string(), "record 2 has no question");
        assert!(Answers::default().read("{\"question\": \"a\"").is_err());
    }
}
