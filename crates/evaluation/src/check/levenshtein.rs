//! `levenshtein`: insertions, deletions and substitutions of code points between the output and a text; and the same as a
//! similarity for `normalized-levenshtein`.

use testfleet_model::configuration::{Metric, Operator};

use super::bound::{Bound, Rule};
use crate::finding::Outcome;
use crate::problem::Problems;
use crate::subject::{Seen, Subject, scalar_text, type_word};

const RULE: Rule = Rule {
    operator: Operator::Le,
    threshold: None,
    max: f64::INFINITY,
    what: "the distance in code points",
};

/// Cells of the table of distances: two texts of 10,000 code points, about 0.1 s.
const MAX_CELLS: usize = 100_000_000;

/// Distance in Unicode code points, nothing trimmed or folded.
#[derive(Debug)]
pub(crate) struct Levenshtein {
    bound: Bound,
    wanted: Option<String>,
}

impl Levenshtein {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let wanted = metric.value.as_ref().map(|value| problems.take("value", text(value)));
        let bound = Bound::compile(metric, &RULE, problems);
        let wanted = match wanted {
            None => None,
            Some(wanted) => Some(wanted?),
        };
        Some(Self { bound: bound?, wanted })
    }

    pub(super) fn run(&self, seen: &Seen<'_>, subject: &Subject<'_>) -> Outcome {
        let distance = match &self.wanted {
            Some(wanted) => distance(seen.text(), wanted)?,
            None => distance(seen.text(), &text(subject.expected()?)?)?,
        };
        #[expect(clippy::cast_precision_loss, reason = "distances are far below 2^52")]
        let number = distance as f64;
        Ok(self.bound.hold(number, &format!("the distance {distance}")))
    }
}

fn text(value: &serde_json::Value) -> Result<String, String> {
    scalar_text(value)
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| format!("levenshtein compares with one text, not with {}", type_word(value)))
}

/// 1 − distance / length of the longer text, 0 to 1; 1 for two empty texts.
///
/// # Errors
///
/// The texts are too long.
#[expect(clippy::cast_precision_loss, reason = "distances are far below 2^52")]
pub(super) fn similarity(left: &str, right: &str) -> Result<f64, String> {
    let longer = left.chars().count().max(right.chars().count());
    if longer == 0 {
        return Ok(1.0);
    }
    Ok(1.0 - distance(left, right)? as f64 / longer as f64)
}

/// What both texts begin and end with costs nothing, so that nearly equal long texts are no problem.
fn distance(left: &str, right: &str) -> Result<usize, String> {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let lengths = (left.len(), right.len());
    let start = left
        .iter()
        .zip(&right)
        .take_while(|(left, right)| left == right)
        .count();
    let (left, right) = (
        left.get(start..).unwrap_or_default(),
        right.get(start..).unwrap_or_default(),
    );
    let end = left
        .iter()
        .rev()
        .zip(right.iter().rev())
        .take_while(|(left, right)| left == right)
        .count();
    let left = left.get(..left.len() - end).unwrap_or_default().to_vec();
    let right = right.get(..right.len() - end).unwrap_or_default().to_vec();
    if left.len().saturating_mul(right.len()) > MAX_CELLS {
        return Err(format!(
            "the texts are too long to compare ({} and {} code points); two of 10000 code points are the most that \
             is compared",
            lengths.0, lengths.1
        ));
    }
    Ok(strsim::generic_levenshtein(&left, &right))
}
