//! `rouge-n` and `rouge-l`: the overlap of n-grams, or of the longest common subsequence of words, with a reference.
//!
//! Source: C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, as the package `rouge-score` of PyPI
//! computes it without stemming: lower case; words are runs of the letters a to z and digits, everything else separates, so a
//! text without one of them has no word. F = 2·P·R/(P+R) with P = |overlap|/|output| and R = |overlap|/|reference|; 0 where
//! there is nothing to share, even between two empty texts.

use super::reference::{n_grams, numbered};

/// Pairs of words of the table for ROUGE-L: two texts of 10,000 words, some tenths of a second.
const MAX_PAIRS: usize = 100_000_000;

/// The F-measure of n-grams, 0 to 1.
pub(super) fn n(output: &str, reference: &str, n: usize) -> f64 {
    let (output, reference) = (words(output), words(reference));
    let numbers = numbered(&[&output, &reference]);
    let [output, reference] = numbers.as_slice() else {
        return 0.0;
    };
    let counts = n_grams(reference, n);
    let shared = n_grams(output, n)
        .iter()
        .map(|(gram, count)| (*count).min(counts.get(gram).copied().unwrap_or(0)))
        .sum();
    let grams = |words: &[u32]| words.len().saturating_sub(n.saturating_sub(1));
    f_measure(shared, grams(output), grams(reference))
}

/// The F-measure of the longest common subsequence, 0 to 1.
///
/// # Errors
///
/// The texts are too long.
pub(super) fn l(output: &str, reference: &str) -> Result<f64, String> {
    let (output, reference) = (words(output), words(reference));
    let numbers = numbered(&[&output, &reference]);
    let [output, reference] = numbers.as_slice() else {
        return Ok(0.0);
    };
    if output.len().saturating_mul(reference.len()) > MAX_PAIRS {
        return Err(format!(
            "the texts are too long to compare ({} and {} words); two of 10000 words are the most that is compared",
            output.len(),
            reference.len()
        ));
    }
    let shared = common_subsequence(output, reference);
    Ok(f_measure(shared, output.len(), reference.len()))
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|letter: char| !(letter.is_ascii_lowercase() || letter.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The length of the longest sequence that both have, gaps allowed; one row of the table at a time.
fn common_subsequence(left: &[u32], right: &[u32]) -> usize {
    let mut row = vec![0_u32; right.len()];
    for a in left {
        // The cell above and to the left, and the one to the left.
        let (mut diagonal, mut last) = (0, 0);
        for (b, cell) in right.iter().zip(&mut row) {
            let above = *cell;
            last = if a == b { diagonal + 1 } else { above.max(last) };
            *cell = last;
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or(0) as usize
}

#[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
fn f_measure(shared: usize, output: usize, reference: usize) -> f64 {
    if shared == 0 {
        return 0.0;
    }
    let (precision, recall) = (shared as f64 / output as f64, shared as f64 / reference as f64);
    2.0 * precision * recall / (precision + recall)
}
