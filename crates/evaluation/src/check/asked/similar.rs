//! `similar`: how near the meaning of the output is to that of a reference, or the best of several, by embeddings.
//!
//! The cosine of the angle between the two vectors; below 0 it counts as 0.

use serde_json::Value;
use testfleet_model::configuration::{Metric, Operator};

use super::asking::{Place, Step};
use super::judged::addressee;
use super::question::{Addressee, Ask};
use crate::check::bound::{Bound, Rule};
use crate::check::reference::texts;
use crate::finding::Finding;
use crate::problem::Problems;
use crate::subject::{Seen, Subject};

/// The similarity to reach unless the metric says otherwise, as in promptfoo.
const THRESHOLD: f64 = 0.75;
/// The most that all texts may have together, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// Compiled.
#[derive(Debug)]
pub(crate) struct Similar {
    to: Addressee,
    bound: Bound,
    references: Option<Vec<String>>,
}

impl Similar {
    pub(crate) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let rule = Rule {
            operator: Operator::Ge,
            threshold: Some(THRESHOLD),
            max: 1.0,
            what: "the similarity of meanings, from 0 to 1",
        };
        let references = match &metric.value {
            None => Some(None),
            Some(value) => problems.take("value", texts(metric.kind.word(), value)).map(Some),
        };
        let bound = Bound::compile(metric, &rule, problems);
        Some(Self {
            to: addressee(metric),
            bound: bound?,
            references: references?,
        })
    }

    pub(crate) fn run(&self, seen: &Seen<'_>, subject: &Subject<'_>, place: &Place<'_>) -> Step<Finding> {
        let embed = || {
            let mut all = vec![seen.text().to_owned()];
            all.extend(match &self.references {
                Some(references) => references.clone(),
                None => texts("similar", subject.expected()?)?,
            });
            if all.iter().any(|text| text.trim().is_empty()) {
                return Err("an empty text has no meaning to compare".to_owned().into());
            }
            let bytes: usize = all.iter().map(String::len).sum();
            if bytes > MAX_BYTES {
                let message =
                    format!("the texts have {bytes} bytes together; {MAX_BYTES} are the most that are compared");
                return Err(message.into());
            }
            Ok(Ask::Embed(all))
        };
        let vectors = vectors(place.ask(self.to.clone(), embed)?)?;
        let (output, references) = vectors
            .split_first()
            .ok_or_else(|| "no embeddings came back".to_owned())?;
        let mut best = 0.0_f64;
        for reference in references {
            best = best.max(cosine(output, reference)?);
        }
        Ok(self.bound.hold(best, &format!("the similarity of meanings {best:.3}")))
    }
}

fn vectors(answer: &Value) -> Step<Vec<Vec<f64>>> {
    let vector = |list: &Value| list.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
    let vectors = answer
        .as_array()
        .and_then(|list| list.iter().map(vector).collect::<Option<Vec<_>>>());
    Ok(vectors.ok_or_else(|| "the embeddings are no lists of numbers".to_owned())?)
}

/// The cosine of the angle between two vectors.
fn cosine(one: &[f64], other: &[f64]) -> Result<f64, String> {
    if one.len() != other.len() {
        return Err(format!(
            "the embeddings have {} and {} dimensions",
            one.len(),
            other.len()
        ));
    }
    let product: f64 = one.iter().zip(other).map(|(one, other)| one * other).sum();
    let length = |vector: &[f64]| vector.iter().map(|part| part * part).sum::<f64>().sqrt();
    let lengths = length(one) * length(other);
    if !(lengths.is_finite() && lengths > 0.0) {
        return Err("an embedding has no length, so it has no direction".to_owned());
    }
    Ok((product / lengths).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_is_that_of_the_angle() {
        let near = |one: &[f64], other: &[f64], expected: f64| {
            assert!((cosine(one, other).unwrap() - expected).abs() < 1e-12);
        };
        near(&[1.0, 0.0], &[3.0, 0.0], 1.0);
        near(&[1.0, 0.0], &[0.0, 2.0], 0.0);
        near(&[1.0, 0.0], &[-1.0, 0.0], -1.0);
        near(&[1.0, 2.0, 2.0], &[2.0, 1.0, 2.0], 8.0 / 9.0);
        assert!(cosine(&[0.0, 0.0], &[1.0, 0.0]).is_err());
        assert!(cosine(&[1.0], &[1.0, 0.0]).is_err());
    }
}
