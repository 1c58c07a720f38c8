//! `contextual-precision`, `contextual-recall` and `contextual-relevancy`: how good the context of an answer is.
//!
//! As in DeepEval, which follows ragas (*Context Precision* and *Context Recall* with a reference). Precision: a model says of each
//! document whether it was useful to arrive at the expected output; with `v(k)` 1 for a useful document at place k, else 0, the
//! score is the mean of `precision at k = (v(1) + … + v(k)) / k` over the useful documents, 0 where there is none. Recall: a model
//! takes the expected output apart into sentences and says of each whether the context supports it; the score is supported
//! sentences over sentences. Relevancy, as *Contextual Relevancy* of DeepEval: a model takes the context apart into statements and says of
//! each whether it bears on the input; the score is relevant statements over statements.

use serde_json::{Value, json};
use testfleet_model::configuration::{Metric, MetricKind};

use super::asking::{Place, Step};
use super::factuality::expected;
use super::fence::Prompt;
use super::form::Form;
use super::judged::{Jury, context, input, list_of_verdicts, verdicts};
use super::rag::{MAX_PARTS, THRESHOLD, share};
use super::sampling::Vote;
use crate::finding::Finding;
use crate::problem::Problems;
use crate::subject::Sample;

/// Compiled.
#[derive(Debug)]
pub(crate) struct Contextual {
    jury: Jury,
    reference: Option<String>,
    measure: Measure,
}

#[derive(Clone, Copy, Debug)]
enum Measure {
    Precision,
    Recall,
    Relevancy,
}

impl Contextual {
    pub(crate) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let jury = Jury::scoring(metric, Some(THRESHOLD), (0.0, 1.0), problems);
        let reference = super::reference_of(metric, problems)?;
        Some(Self {
            jury: jury?,
            reference,
            measure: match metric.kind {
                MetricKind::ContextualPrecision => Measure::Precision,
                MetricKind::ContextualRelevancy => Measure::Relevancy,
                _ => Measure::Recall,
            },
        })
    }

    pub(crate) fn run(&self, sample: &Sample<'_>, place: &Place<'_>) -> Step<Finding> {
        let context = context(&sample.background)?;
        let expected = || expected(self.reference.as_deref(), sample);
        match self.measure {
            Measure::Precision => {
                let expected = expected()?;
                self.jury.hear(place, "the contextual precision", |place| {
                    self.precision(context, &expected, sample.background.input, place)
                })
            }
            Measure::Recall => {
                let expected = expected()?;
                self.jury.hear(place, "the contextual recall", |place| {
                    self.recall(context, &expected, place)
                })
            }
            Measure::Relevancy => {
                let input = input(&sample.background)?;
                self.jury.hear(place, "the contextual relevancy", |place| {
                    self.relevancy(context, input, place)
                })
            }
        }
    }

    fn precision(&self, context: &[String], expected: &str, input: Option<&str>, place: &Place<'_>) -> Step<Vote> {
        let form = Form::of("usefulness", [("verdicts", list_of_verdicts(&["yes", "no"]))])
            .with_exactly("verdicts", context.len());
        let prompt = || {
            let task = "Say of each document of the CONTEXT, in its order, whether it was useful to arrive at the EXPECTED ANSWER to \
                        the INPUT: \"yes\" or \"no\". Answer with a JSON object of \"verdicts\", a list with one object of \"reason\" (a \
                        short sentence) and \"verdict\" for each document.";
            Prompt::new(task)
                .with_some("INPUT", input)
                .with("EXPECTED ANSWER", expected)
                .with_list("CONTEXT", context)
        };
        let answer = self.jury.ask(place, prompt, form)?;
        let useful: Vec<bool> = verdicts(answer, "verdicts")
            .iter()
            .map(|(verdict, _)| *verdict == "yes")
            .collect();
        let places: Vec<String> = (1..)
            .zip(&useful)
            .filter(|(_, useful)| **useful)
            .map(|(at, _): (usize, _)| at.to_string())
            .collect();
        let reason = if places.is_empty() {
            format!("none of {} documents is useful", useful.len())
        } else {
            format!("useful are the documents {} of {}", places.join(", "), useful.len())
        };
        Ok(Vote {
            score: precision(&useful),
            passes: false,
            reason,
        })
    }

    fn recall(&self, context: &[String], expected: &str, place: &Place<'_>) -> Step<Vote> {
        let form = Form::of("attribution", [("sentences", sentences_schema())]);
        let prompt = || {
            let task = format!(
                "Take the EXPECTED ANSWER apart into its sentences, at most {MAX_PARTS}, and say of each whether it can be attributed \
                 to the CONTEXT: \"yes\" or \"no\". Answer with a JSON object of \"sentences\", a list with one object of \"sentence\", \
                 \"reason\" (a short sentence) and \"verdict\" for each."
            );
            Prompt::new(task)
                .with("EXPECTED ANSWER", expected)
                .with_list("CONTEXT", context)
        };
        let answer = self.jury.ask(place, prompt, form)?;
        judged_parts(answer, "the expected output", "supported by the context")
    }

    fn relevancy(&self, context: &[String], input: &str, place: &Place<'_>) -> Step<Vote> {
        let form = Form::of("relevance", [("sentences", sentences_schema())]);
        let prompt = || {
            let task = format!(
                "Take the CONTEXT apart into its statements, at most {MAX_PARTS}, and say of each whether it bears on the INPUT, that is \
                 whether it helps to answer or address it: \"yes\" or \"no\". Answer with a JSON object of \"sentences\", a list with one \
                 object of \"sentence\" (the statement), \"reason\" (a short sentence) and \"verdict\" for each."
            );
            Prompt::new(task).with("INPUT", input).with_list("CONTEXT", context)
        };
        let answer = self.jury.ask(place, prompt, form)?;
        judged_parts(answer, "the context", "relevant to the input")
    }
}

/// The share of good parts of a text, `what`, of an answer that names and judges them.
fn judged_parts(answer: &Value, what: &str, good: &str) -> Step<Vote> {
    let verdicts = verdicts(answer, "sentences");
    if verdicts.is_empty() || verdicts.len() > MAX_PARTS {
        let message = format!("the model took {what} apart into {} sentences", verdicts.len());
        return Err(message.into());
    }
    let list = answer.get("sentences").and_then(Value::as_array);
    let sentences = list
        .into_iter()
        .flatten()
        .map(|item| super::judged::text(item, "sentence"));
    let bad: Vec<_> = sentences
        .zip(&verdicts)
        .filter(|(_, (verdict, _))| *verdict != "yes")
        .map(|(sentence, (_, reason))| (sentence, *reason))
        .collect();
    Ok(share(verdicts.len() - bad.len(), verdicts.len(), "", good, &bad))
}

fn sentences_schema() -> Value {
    json!({"type": "array", "items": {
        "type": "object",
        "properties": {
            "sentence": {"type": "string"},
            "reason": {"type": "string"},
            "verdict": {"type": "string", "enum": ["yes", "no"]},
        },
        "required": ["sentence", "reason", "verdict"],
        "additionalProperties": false,
    }})
}

/// The mean of the precisions at the places of useful documents.
fn precision(useful: &[bool]) -> f64 {
    let (mut found, mut sum) = (0_u32, 0.0);
    for (place, useful) in (1_u32..).zip(useful) {
        if *useful {
            found += 1;
            sum += f64::from(found) / f64::from(place);
        }
    }
    if found == 0 { 0.0 } else { sum / f64::from(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the definition, by hand.
    #[test]
    fn useful_documents_further_up_are_worth_more() {
        for (useful, expected) in [
            (&[true, true, false][..], 1.0),
            (&[true, false, true], (1.0 + 2.0 / 3.0) / 2.0),
            (&[false, true, true], (0.5 + 2.0 / 3.0) / 2.0),
            (&[false, false, true], 1.0 / 3.0),
            (&[false, false], 0.0),
            (&[], 0.0),
        ] {
            assert!((precision(useful) - expected).abs() < 1e-12, "{useful:?}");
        }
    }
}
