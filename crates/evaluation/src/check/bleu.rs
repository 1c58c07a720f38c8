//! `bleu`: the sentence BLEU of the output with one or several references.
//!
//! Sources: K. Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002; the words of
//! `mteval-v13a` (NIST), whose rules are in [`words`]; smoothing method 3 of B. Chen and C. Cherry, "A Systematic Comparison
//! of Smoothing Techniques for Sentence-Level BLEU", 2014. It is what `sacrebleu.sentence_bleu` computes by default, over 100.
//!
//! For n from 1 to 4, p(n) is the share of the output's n-grams that a reference has, each counted at most as often as in the
//! reference that has it most often. The k-th n without a match has 1/(2^k · number of n-grams) instead of 0. Longer n than
//! the output has words are left out. BLEU = min(1, e^(1−r/c)) · the geometric mean of p(n), with c words in the output and
//! r in the reference nearest in length (the shorter of two as near). Without any match it is 0.

use super::reference::{n_grams, numbered};

/// The longest n-grams.
const LONGEST: usize = 4;

/// 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
pub(super) fn sentence(output: &str, references: &[String]) -> f64 {
    let texts: Vec<Vec<String>> = std::iter::once(output)
        .chain(references.iter().map(String::as_str))
        .map(words)
        .collect();
    let texts: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
    let numbers = numbered(&texts);
    let Some((output, references)) = numbers.split_first() else {
        return 0.0;
    };
    let mut logarithms = Vec::with_capacity(LONGEST);
    let mut any = false;
    let mut smoothing = 1.0;
    for n in 1..=LONGEST.min(output.len()) {
        let shared = shared(output, references, n);
        let grams = (output.len() + 1 - n) as f64;
        any |= shared > 0;
        let precision = if shared == 0 {
            smoothing *= 2.0;
            1.0 / (smoothing * grams)
        } else {
            shared as f64 / grams
        };
        logarithms.push(precision.ln());
    }
    if !any {
        return 0.0;
    }
    let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
    // Rounding must not make an equal text more than equal.
    (brevity(output.len(), references) * mean.exp()).min(1.0)
}

/// N-grams of the output that are in a reference.
fn shared(output: &[u32], references: &[Vec<u32>], n: usize) -> usize {
    let references: Vec<_> = references.iter().map(|reference| n_grams(reference, n)).collect();
    n_grams(output, n)
        .iter()
        .map(|(gram, count)| {
            let most = references.iter().filter_map(|counts| counts.get(gram)).max();
            (*count).min(most.copied().unwrap_or(0))
        })
        .sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of words are far below 2^52")]
fn brevity(output: usize, references: &[Vec<u32>]) -> f64 {
    let lengths = references.iter().map(Vec::len);
    let nearest = lengths
        .min_by_key(|length| (length.abs_diff(output), *length))
        .unwrap_or(0);
    if output >= nearest {
        1.0
    } else {
        (1.0 - nearest as f64 / output as f64).exp()
    }
}

/// The words of a text by the rules of `mteval-v13a`: `<skipped>` and hyphens at the end of a line go; four entities are
/// resolved; ASCII signs are words of their own, except apostrophes; so are periods and commas that are not between digits,
/// and dashes behind digits. Upper and lower case stay.
fn words(text: &str) -> Vec<String> {
    let text = text
        .trim_end_matches(is_space)
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    let mut spaced = vec![' '];
    for letter in text.chars() {
        if letter.is_ascii_punctuation() && !matches!(letter, '\'' | ',' | '-' | '.') {
            spaced.extend([' ', letter, ' ']);
        } else {
            spaced.push(letter);
        }
    }
    spaced.push(' ');
    let is_point = |letter: char| matches!(letter, '.' | ',');
    // Behind anything but a digit, then in front of anything but a digit.
    let spaced = pairs(&spaced, |first, second| {
        (!first.is_ascii_digit() && is_point(second)).then_some([first, ' ', second, ' '])
    });
    let spaced = pairs(&spaced, |first, second| {
        (is_point(first) && !second.is_ascii_digit()).then_some([' ', first, ' ', second])
    });
    let spaced = pairs(&spaced, |first, second| {
        (first.is_ascii_digit() && second == '-').then_some([first, ' ', second, ' '])
    });
    let spaced: String = spaced.into_iter().collect();
    let words = spaced.split(is_space).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Replaces pairs of neighbours from the left; what was replaced is not looked at again.
fn pairs(text: &[char], replace: impl Fn(char, char) -> Option<[char; 4]>) -> Vec<char> {
    let mut replaced = Vec::with_capacity(text.len() * 2);
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let pair = tail.first().and_then(|second| replace(*first, *second));
        match pair {
            Some(pair) => {
                replaced.extend(pair);
                rest = tail.get(1..).unwrap_or_default();
            }
            None => {
                replaced.push(*first);
                rest = tail;
            }
        }
    }
    replaced
}

/// White space as the reference has it: Unicode's, and the four separators of ASCII.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\u{1c}'..='\u{1f}')
}
