//! What the metrics of answers with a context have in common: parts of a text, and the share of them that is good.

use super::asking::Step;
use super::sampling::Vote;
use crate::excerpt::quote;

/// The score to reach unless the metric says otherwise, as in DeepEval.
pub(super) const THRESHOLD: f64 = 0.5;
/// The most statements, claims or sentences that a text is taken apart into.
pub(super) const MAX_PARTS: usize = 100;
/// Bad parts that a reason names.
const NAMED: usize = 3;

/// The parts that a model found, none of them empty.
pub(super) fn parts(found: Vec<&str>) -> Step<Vec<&str>> {
    let parts: Vec<&str> = found
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    if parts.len() > MAX_PARTS {
        let message = format!(
            "the model took the text apart into {} parts; {MAX_PARTS} are the most that are judged",
            parts.len()
        );
        return Err(message.into());
    }
    Ok(parts)
}

/// The share of good parts; of none it is 1, and `nothing` says why.
pub(super) fn share(good: usize, all: usize, nothing: &str, what: &str, bad: &[(&str, &str)]) -> Vote {
    let (score, mut reason) = if all == 0 {
        (1.0, nothing.to_owned())
    } else {
        (good as f64 / all as f64, format!("{good} of {all} are {what}"))
    };
    for (part, why) in bad.iter().take(NAMED) {
        reason.push_str(&format!(
            "; not {}: {}",
            quote(part),
            crate::excerpt::sentence(why, 120)
        ));
    }
    if bad.len() > NAMED {
        reason.push_str(&format!("; and {} more", bad.len() - NAMED));
    }
    Vote {
        score,
        passes: false,
        reason,
    }
}
