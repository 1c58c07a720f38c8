//! `f1`: the overlap of words between the output and a reference, as the evaluation of SQuAD 1.1 computes it.
//!
//! Source: the official evaluation of SQuAD 1.1 (Rajpurkar et al., 2016, "SQuAD: 100,000+ Questions for Machine
//! Comprehension of Text"). Both texts are put in lower case, ASCII punctuation is deleted, the words `a`, `an`,
//! `the` are replaced by a space, and the rest is split at white space. With the multisets of tokens P
//! (prediction) and R (reference): precision = |P∩R|/|P|, recall = |P∩R|/|R|, F1 = their harmonic mean, 0 when
//! nothing is shared.
//!
//! One case is taken from SQuAD 2.0, where it is defined: with no token on either side F1 is 1.

use std::collections::HashMap;

/// F1 of the words of two texts, 0 to 1.
pub(super) fn f1(output: &str, reference: &str) -> f64 {
    overlap(&tokens(output), &tokens(reference))
}

fn tokens(text: &str) -> Vec<String> {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|letter| !letter.is_ascii_punctuation())
        .collect();
    without_articles(&kept).split_whitespace().map(str::to_owned).collect()
}

/// Replaces runs of letters and digits that are an article; `the—cat` has one, `then` has none.
fn without_articles(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word_end = rest
            .find(|letter: char| !letter.is_alphanumeric())
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(word_end);
        kept.push_str(if matches!(word, "a" | "an" | "the") { " " } else { word });
        let gap_end = tail.find(char::is_alphanumeric).unwrap_or(tail.len());
        let (gap, tail) = tail.split_at(gap_end);
        kept.push_str(gap);
        rest = tail;
    }
    kept
}

#[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
fn overlap(prediction: &[String], reference: &[String]) -> f64 {
    if prediction.is_empty() && reference.is_empty() {
        return 1.0;
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for token in reference {
        *left.entry(token).or_default() += 1;
    }
    let mut shared = 0_usize;
    for token in prediction {
        if let Some(count) = left.get_mut(token.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    if shared == 0 {
        return 0.0;
    }
    let precision = shared as f64 / prediction.len() as f64;
    let recall = shared as f64 / reference.len() as f64;
    2.0 * precision * recall / (precision + recall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_is_what_the_evaluation_of_squad_computes() {
        // Computed by hand: shared, |prediction|, |reference|.
        for (prediction, reference, expected) in [
            ("The cat sat.", "a cat sat", 1.0),                // 2, 2, 2
            ("Denver Broncos", "The Denver Broncos!", 1.0),    // 2, 2, 2
            ("the cat", "a dog", 0.0),                         // 0
            ("cat cat dog", "cat dog dog", 2.0 / 3.0),         // 2, 3, 3
            ("in 1066", "1066", 2.0 / 3.0),                    // 1, 2, 1
            ("Saint Bernadette Soubirous", "Bernadette", 0.5), // 1, 3, 1
            ("It's 30-days", "its 30days", 1.0),               // punctuation is deleted, not spaced
            ("the—cat", "—cat", 1.0),                          // an article at a word boundary
            ("then another", "the n", 0.0),                    // no article inside a word
            ("", "", 1.0),
            ("the", "a!", 1.0),
            ("", "cat", 0.0),
            ("cat", "the", 0.0),
            ("GRÜSSE aus Köln", "grüsse köln", 0.8), // 2, 3, 2
        ] {
            let got = f1(prediction, reference);
            assert!((got - expected).abs() < 1e-12, "{prediction:?} {reference:?}: {got}");
        }
    }
}
