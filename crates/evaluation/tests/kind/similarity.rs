//! Similarities: what they do with thresholds, several values and long texts. Their numbers are in `tests/vector.rs`.

use serde_json::{Value, json};
use testfleet_evaluation::Subject;

use super::{Error, Fail, Pass, expect, table};

const KINDS: [&str; 5] = ["normalized-levenshtein", "jaro-winkler", "rouge-n", "rouge-l", "bleu"];

fn of(kind: &str, value: Value, threshold: f64) -> Value {
    json!({"type": kind, "value": value, "threshold": threshold})
}

#[test]
fn similarities_are_held_against_a_threshold() {
    for kind in KINDS {
        table(&[
            (
                of(kind, json!("the cat sat on the mat"), 1.0),
                json!("the cat sat on the mat"),
                Pass,
            ),
            (
                of(kind, json!("the cat sat on the mat"), 0.9),
                json!("quick brown foxes jump"),
                Fail,
            ),
            // Of several values the best counts.
            (
                of(kind, json!(["nothing like it", "a b c d"]), 1.0),
                json!("a b c d"),
                Pass,
            ),
            (of(kind, json!("x"), 0.0), json!(""), Pass),
            (json!({"type": kind, "threshold": 0.5}), json!("x"), Error),
        ]);
        let expected = json!("a b c d");
        let output = json!("a b c d");
        let subject = Subject {
            expected: Some(&expected),
            ..Subject::of(&output)
        };
        let result = expect(&json!({"type": kind, "threshold": 1}), &subject, Pass);
        assert_eq!((result.score, result.threshold), (Some(1.0), Some(1.0)));
    }
    let fewer = json!({"type": "bleu", "value": "a b", "threshold": 0.5, "operator": "<"});
    expect(&fewer, &Subject::of(&json!("c d")), Pass);
    let pairs = json!({"type": "rouge-n", "n": 2, "value": "a b c", "threshold": 0.5});
    let result = expect(&pairs, &Subject::of(&json!("a b d")), Pass);
    assert_eq!(result.score, Some(0.5));
    assert_eq!(result.reason, "the ROUGE-2 F-measure 0.500 is >= 0.5");
}

#[test]
fn what_would_take_too_long_is_an_error_that_says_so() {
    let (a, b) = ("a ".repeat(12_000), "b ".repeat(12_000));
    for kind in ["normalized-levenshtein", "jaro-winkler", "rouge-l"] {
        let result = expect(&of(kind, json!(a), 0.5), &Subject::of(&json!(b)), Error);
        assert!(
            result.reason.contains("too long to compare (") && result.reason.len() < 200,
            "{}",
            result.reason
        );
    }
    // These take as long as the texts are, and are bounded in memory.
    for kind in ["rouge-n", "bleu", "f1"] {
        expect(&of(kind, json!(a), 0.5), &Subject::of(&json!(b)), Fail);
        let long = json!("a ".repeat(600_000));
        let result = expect(&of(kind, json!(a), 0.5), &Subject::of(&long), Error);
        assert!(
            result.reason.contains("1048576 bytes are the most"),
            "{}",
            result.reason
        );
    }
}
