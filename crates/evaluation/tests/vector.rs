//! Similarities are what their reference implementations compute: rouge-score, sacrebleu and rapidfuzz.
//!
//! `scripts/similarity-vectors.py` writes the vectors and says with which versions. They agree without exception, as far as
//! the page promises the same: nothing is stemmed, BLEU is over 100, distances are in code points.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_evaluation::{MetricSet, Subject};
use testfleet_model::configuration::Metric;

const TOLERANCE: f64 = 1e-6;

fn vectors() -> Vec<Value> {
    let document: Value = serde_json::from_str(include_str!("vectors/similarity.json")).unwrap();
    document["pairs"].as_array().unwrap().clone()
}

/// The metric of a score's name: `rouge2` is `rouge-n` with two words.
fn metric(name: &str, references: &Value) -> Metric {
    let (kind, n) = match name.strip_prefix("rouge") {
        Some("L") => ("rouge-l", None),
        Some(n) => ("rouge-n", Some(n.parse::<u32>().unwrap())),
        None => (name, None),
    };
    let mut metric = json!({"type": kind, "value": references, "threshold": 0.5});
    if let Some(n) = n {
        metric["n"] = json!(n);
    }
    serde_json::from_value(metric).unwrap()
}

#[test]
fn similarities_agree_with_their_references() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for vector in vectors() {
        let (output, references) = (&vector["output"], &vector["references"]);
        for (name, expected) in vector["scores"].as_object().unwrap() {
            let set = MetricSet::compile(&[metric(name, references)]).unwrap();
            let result = set.evaluate(&Subject::of(output), || Duration::ZERO).remove(0);
            let (score, expected) = (result.score.unwrap(), expected.as_f64().unwrap());
            compared += 1;
            if (score - expected).abs() > TOLERANCE {
                wrong.push(format!("{name} of {output} and {references}: {score}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared >= 60 * 9, "{compared}");
}

#[test]
fn the_vectors_are_varied() {
    let vectors = vectors();
    let scores = |name: &str| {
        vectors
            .iter()
            .map(|vector| vector["scores"][name].as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    for name in [
        "rouge1",
        "rouge2",
        "rougeL",
        "bleu",
        "normalized-levenshtein",
        "jaro-winkler",
    ] {
        let scores = scores(name);
        let between = scores.iter().filter(|score| (0.05..0.95).contains(*score)).count();
        assert!(between >= 20, "{name}: {between}");
        assert!(
            scores.contains(&0.0) && scores.iter().any(|score| *score > 0.999),
            "{name}"
        );
    }
}
