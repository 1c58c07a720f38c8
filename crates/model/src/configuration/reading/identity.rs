//! Ids of tests that have none, and the check that no id is used twice.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::configuration::TestCase;

use super::problem::{Position, Problem};

/// The id of a test without one: the first 12 hexadecimal digits of the SHA-256 of its input, messages and
/// vars (defaults included), and of what the user says where it is a dialogue, as JSON with sorted keys. The same input gives the same id on every machine.
#[must_use]
pub fn generated_id(test: &TestCase) -> String {
    let mut content = json!({
        "input": test.input,
        "messages": test.messages,
        "vars": test.vars,
    });
    if test.is_dialogue() {
        let turns = test.turns.iter().map(|turn| turn.input.as_str());
        content["turns"] = turns.collect::<Vec<_>>().into();
        content["simulated_user"] = json!(test.simulated_user);
    }
    let digest = Sha256::digest(sorted(content).to_string());
    digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same value with the keys of every mapping in order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Notices ids that are used twice in a set, sources and document together.
///
/// It keeps 8 bytes of hash for each test (about 14 with the table around them), so it can name the second
/// place but not the first. Two different ids are taken for the same one with a probability of about
/// 3 in 10^10 for a set of 100,000 tests.
#[derive(Debug, Default)]
pub struct DuplicateCheck {
    seen: HashSet<u64>,
}

impl DuplicateCheck {
    /// A check that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits the next test of the set. Where a [`generated_id`] is taken, the test gets a number behind it
    /// (`…-2`), since two tests with the same input are no mistake.
    ///
    /// # Errors
    /// When an id that somebody wrote is taken.
    pub fn admit(&mut self, test: &mut TestCase, file: &str, position: Position) -> Result<(), Problem> {
        if self.seen.insert(fingerprint(&test.id)) {
            return Ok(());
        }
        let generated = generated_id(test);
        let number = test.id.strip_prefix(&generated).and_then(|rest| match rest {
            "" => Some(1),
            rest => rest.strip_prefix('-').and_then(|number| number.parse::<u64>().ok()),
        });
        let Some(number) = number else {
            let message = format!("the id {:?} is already used by an earlier test of the set", test.id);
            return Err(Problem::new(file, position, "id", message));
        };
        let mut next = number;
        loop {
            next = next.saturating_add(1);
            test.id = format!("{generated}-{next}");
            if self.seen.insert(fingerprint(&test.id)) {
                return Ok(());
            }
        }
    }
}

fn fingerprint(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(id: &str, input: &str) -> TestCase {
        let mut test = TestCase {
            id: id.to_owned(),
            input: Some(input.to_owned()),
            ..TestCase::default()
        };
        if id.is_empty() {
            test.id = generated_id(&test);
        }
        test
    }

    #[test]
    fn a_generated_id_never_changes() {
        assert_eq!(generated_id(&test("x", "hello")), generated_id(&test("y", "hello")));
        assert_eq!(test("", "hello").id, "1115a5e93833");
    }

    #[test]
    fn the_same_input_twice_gets_a_number() {
        let mut check = DuplicateCheck::new();
        let ids: Vec<String> = (0..3)
            .map(|_| {
                let mut test = test("", "hello");
                check.admit(&mut test, "a.jsonl", Position::START).unwrap();
                test.id
            })
            .collect();
        let first = &ids[0];
        assert_eq!(ids, [first.clone(), format!("{first}-2"), format!("{first}-3")]);
    }

    #[test]
    fn an_id_written_twice_is_refused_at_the_second_place() {
        let mut check = DuplicateCheck::new();
        check
            .admit(&mut test("a", "1"), "a.jsonl", Position::new(1, 1))
            .unwrap();
        let problem = check
            .admit(&mut test("a", "2"), "b.jsonl", Position::new(7, 1))
            .unwrap_err();
        assert_eq!(
            problem.to_string(),
            "b.jsonl:7:1: id: the id \"a\" is already used by an earlier test of the set"
        );
    }
}
