//! What all judgements share: who is asked, how often, and what the score is held against.

use serde_json::{Value, json};
use testfleet_model::configuration::{Aggregate, Message, Metric};

use super::asking::{Place, Step};
use super::fence::Prompt;
use super::form::Form;
use super::question::{Addressee, Ask};
use super::sampling::{Sampling, Tally, Vote};
use crate::check::bound::Bound;
use crate::finding::Finding;
use crate::problem::Problems;
use crate::subject::Background;

/// Who judges, how often, and from which score on it passes.
#[derive(Debug)]
pub(super) struct Jury {
    to: Addressee,
    sampling: Sampling,
    /// `None`: each sample says by itself whether it passes, and the majority decides.
    bound: Option<Bound>,
}

impl Jury {
    /// A jury whose samples say whether they pass, unless the metric has a threshold.
    pub(super) fn voting(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        if metric.threshold.is_some() {
            return Self::scoring(metric, None, (0.0, 1.0), problems);
        }
        let wrong = metric
            .aggregate
            .is_some_and(|aggregate| aggregate != Aggregate::Majority);
        if wrong {
            let message =
                "without a threshold only the majority can decide: write `aggregate: majority`, or a threshold";
            problems.add("aggregate", message);
        }
        let jury = Self {
            to: addressee(metric),
            sampling: Sampling::of(metric, Aggregate::Majority),
            bound: None,
        };
        (!wrong && samples(metric, problems)).then_some(jury)
    }

    /// A jury that gives scores from `range.0` to `range.1`; `threshold`: that of metrics that name none.
    pub(super) fn scoring(
        metric: &Metric,
        threshold: Option<f64>,
        range: (f64, f64),
        problems: &mut Problems,
    ) -> Option<Self> {
        let bound = Bound::of_scale(metric, threshold, range, problems);
        let usable = samples(metric, problems);
        Some(Self {
            to: addressee(metric),
            sampling: Sampling::of(metric, Aggregate::Mean),
            bound: bound.filter(|_| usable)?.into(),
        })
    }

    /// Takes the samples and says what they come to. `vote` gives a score, whether that passes by itself, and why; `what` is
    /// what the score is.
    pub(super) fn hear(&self, place: &Place<'_>, what: &str, vote: impl Fn(&Place<'_>) -> Step<Vote>) -> Step<Finding> {
        let tally = self.sampling.take(place, |place| {
            let vote = vote(place)?;
            Ok(match &self.bound {
                Some(bound) => Vote {
                    passes: bound.contains(vote.score),
                    ..vote
                },
                None => vote,
            })
        })?;
        Ok(self.finding(tally, what))
    }

    fn finding(&self, tally: Tally, what: &str) -> Finding {
        let why = crate::excerpt::sentence(&tally.reason, MAX_REASON);
        let mut finding = match (&self.bound, tally.majority) {
            (Some(bound), None) => {
                let mut finding = bound.hold(tally.score, &format!("{what} {:.3}", tally.score));
                finding.reason = format!("{}: {why}", finding.reason);
                finding
            }
            (bound, majority) => {
                let within = majority.unwrap_or_default();
                Finding::number(tally.score, bound.as_ref().map(Bound::threshold), within, why)
            }
        };
        finding.samples = tally.samples;
        finding
    }

    /// Asks for a judgement.
    pub(super) fn ask<'a>(&self, place: &Place<'a>, prompt: impl FnOnce() -> Prompt, form: Form) -> Step<&'a Value> {
        self.put(place, || prompt().finish(), form)
    }

    /// The same in these messages.
    pub(super) fn put<'a>(
        &self,
        place: &Place<'a>,
        messages: impl FnOnce() -> Step<Vec<Message>>,
        form: Form,
    ) -> Step<&'a Value> {
        place.ask(self.to.clone(), || {
            Ok(Ask::Judge {
                messages: messages()?,
                form,
            })
        })
    }

    /// Asks for something that depends on the configuration only.
    pub(super) fn ask_once<'a>(
        &self,
        place: &Place<'a>,
        prompt: impl FnOnce() -> Prompt,
        form: Form,
    ) -> Step<&'a Value> {
        place.ask_once(self.to.clone(), || {
            Ok(Ask::Judge {
                messages: prompt().finish()?,
                form,
            })
        })
    }
}

/// Characters of a judge's reason that are kept.
const MAX_REASON: usize = 600;

pub(super) fn addressee(metric: &Metric) -> Addressee {
    Addressee::Model(metric.model.clone())
}

fn samples(metric: &Metric, problems: &mut Problems) -> bool {
    let usable = metric
        .samples
        .is_none_or(|samples| (1..=Metric::MAX_SAMPLES).contains(&samples));
    if !usable {
        problems.add("samples", format!("must be from 1 to {}", Metric::MAX_SAMPLES));
    }
    usable
}

/// The criteria of a metric: a text or several; none where its own prompt says it all.
pub(super) fn criteria(metric: &Metric, problems: &mut Problems) -> Option<String> {
    let Some(value) = &metric.value else {
        if metric.prompt.is_some() {
            return Some(String::new());
        }
        problems.add(
            "value",
            format!("{} needs one: what the answer has to be like", metric.kind.word()),
        );
        return None;
    };
    let texts = problems.take("value", crate::check::reference::texts(metric.kind.word(), value))?;
    Some(match texts.as_slice() {
        [one] => one.clone(),
        several => several
            .iter()
            .map(|text| format!("- {text}"))
            .collect::<Vec<_>>()
            .join("\n"),
    })
}

/// A schema of lists of texts.
pub(super) fn list_of_texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

/// A schema of lists of verdicts, each with its reason before it.
pub(super) fn list_of_verdicts(words: &[&str]) -> Value {
    json!({"type": "array", "items": {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "verdict": {"type": "string", "enum": words}},
        "required": ["reason", "verdict"],
        "additionalProperties": false,
    }})
}

/// The texts of a list in an answer.
pub(super) fn texts<'a>(answer: &'a Value, key: &str) -> Vec<&'a str> {
    let list = answer.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The verdicts of a list in an answer, with their reasons.
pub(super) fn verdicts<'a>(answer: &'a Value, key: &str) -> Vec<(&'a str, &'a str)> {
    let list = answer.get(key).and_then(Value::as_array);
    let text = |item: &'a Value, key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    list.into_iter()
        .flatten()
        .map(|item| (text(item, "verdict"), text(item, "reason")))
        .collect()
}

/// A text of an answer.
pub(super) fn text<'a>(answer: &'a Value, key: &str) -> &'a str {
    answer.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A number of an answer.
pub(super) fn number(answer: &Value, key: &str) -> Step<f64> {
    let number = answer.get(key).and_then(Value::as_f64);
    Ok(number.ok_or_else(|| format!("the answer has no number {key}"))?)
}

/// The input of the test, or why there is none to judge by.
pub(super) fn input<'a>(background: &Background<'a>) -> Step<&'a str> {
    let input = background.input.filter(|input| !input.trim().is_empty());
    Ok(input.ok_or_else(|| "the test has no input to judge the answer by".to_owned())?)
}

/// The documents that belong to the question, or why there are none.
pub(super) fn context<'a>(background: &Background<'a>) -> Step<&'a [String]> {
    if background.context.is_empty() {
        let message = "there is no context; give the test one, or map it with response.map.context";
        return Err(message.to_owned().into());
    }
    Ok(background.context)
}
