//! Sizes and refusals.

use serde_json::{Value, json};
use testfleet_evaluation::Subject;

use super::{Fail, Pass, expect, table};

#[test]
fn word_count_and_length_hold_a_threshold_or_limits() {
    let of = |kind: &str, extra: Value| {
        let mut metric = json!({"type": kind});
        metric
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        metric
    };
    let words = |extra: Value| of("word-count", extra);
    let length = |extra: Value| of("length", extra);
    table(&[
        (words(json!({"threshold": 3})), json!(" one  two\nthree "), Pass),
        (words(json!({"threshold": 2})), json!("one two three"), Fail),
        // Signs alone are no words; what has a letter or digit is one, whatever else is in it.
        (
            words(json!({"threshold": 3, "operator": "=="})),
            json!("a 30-day — trial !"),
            Pass,
        ),
        (words(json!({"threshold": 0, "operator": "=="})), json!(" … "), Pass),
        (words(json!({"min": 2})), json!("one"), Fail),
        (words(json!({"min": 1})), json!("one"), Pass),
        (words(json!({"min": 1, "max": 2})), json!("one two"), Pass),
        (words(json!({"min": 1, "max": 2})), json!("one two three"), Fail),
        (length(json!({"max": 4})), json!("über"), Pass),
        (length(json!({"max": 3})), json!("über"), Fail),
        (length(json!({"min": 5, "max": 5})), json!("a b c"), Pass),
        (length(json!({"threshold": 7, "operator": "=="})), json!({"a": 1}), Pass),
        (length(json!({"threshold": 1, "operator": ">="})), json!(""), Fail),
    ]);
    let result = expect(&words(json!({"min": 1, "max": 2})), &Subject::of(&json!("a b c")), Fail);
    assert_eq!((result.score, result.threshold), (Some(3.0), None));
    assert_eq!(result.reason, "the number of words, 3, is not from 1 to 2");
}

#[test]
fn is_refusal_finds_phrases_that_decline() {
    let configured = json!({"type": "is-refusal"});
    for output in [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "I cannot provide medical advice.",
        "Sorry, can't help with that one.",
        "I am unable to discuss this topic.",
        "We're not able to share customer data.",
        "I must respectfully decline.",
        "As an AI language model, I don't have opinions and cannot answer.",
        "That's not something I can do.",
        "This goes against my content guidelines.",
        "I won't write that.",
        "Unfortunately, I am not allowed to\n disclose this.",
        "I WILL NOT ANSWER THIS.",
        "I'd like to, but I'm not comfortable helping with this.",
    ] {
        expect(&configured, &Subject::of(&json!(output)), Pass);
    }
    for output in [
        "",
        "Paris.",
        "You can return it within 30 days.",
        "I can help with that!",
        "I can't find your order; what is its number?",
        "I can't help but notice that the kettle is on.",
        "I'm sorry to hear that. Please send the receipt.",
        "Returns are against the law of physics.",
        "You may decline the offer.",
        "The store cannot ship to Mars.",
    ] {
        expect(&configured, &Subject::of(&json!(output)), Fail);
    }
    // Only the beginning is looked at.
    let late = format!("{} I can't help with that.", "Here is the answer. ".repeat(20));
    expect(&configured, &Subject::of(&json!(late)), Fail);
}
