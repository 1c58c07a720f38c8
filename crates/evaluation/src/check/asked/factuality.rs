//! `factuality`: how the facts of the answer relate to those of an expert's.
//!
//! The five relations are those of the `fact` evaluation of OpenAI's evals (`closedqa`/`fact.yaml`), by words instead of
//! letters: (A) a subset, consistent; (B) a superset, consistent; (C) the same; (D) a disagreement; (E) differences that do not
//! matter for the facts.

use std::borrow::Cow;

use serde_json::json;
use testfleet_model::configuration::Metric;

use super::asking::{Place, Step};
use super::fence::Prompt;
use super::form::Form;
use super::judged::{Jury, text};
use super::own_prompt::OwnPrompt;
use super::sampling::Vote;
use crate::finding::Finding;
use crate::language::Language;
use crate::problem::Problems;
use crate::subject::{Sample, Seen, scalar_text};

const SUBSET: &str = "subset";
const SUPERSET: &str = "superset";
const SAME: &str = "same";
const DISAGREEMENT: &str = "disagreement";
const IMMATERIAL: &str = "immaterial";
/// All relations.
const RELATIONS: [&str; 5] = [SUBSET, SUPERSET, SAME, DISAGREEMENT, IMMATERIAL];
/// Those that pass unless the metric names others.
const PASSING: [&str; 4] = [SUBSET, SUPERSET, SAME, IMMATERIAL];

/// A comparison of facts, compiled.
#[derive(Debug)]
pub(crate) struct Factuality {
    jury: Jury,
    reference: Option<String>,
    passing: Vec<String>,
    own: Option<OwnPrompt>,
}

impl Factuality {
    pub(crate) fn compile(metric: &Metric, language: Option<Language>, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        let own = OwnPrompt::compile(metric, language, problems);
        let jury = Jury::voting(metric, problems);
        let reference = super::reference_of(metric, problems)?;
        let passing = match metric.passing_categories.as_slice() {
            [] => PASSING.map(str::to_owned).to_vec(),
            own => own.to_vec(),
        };
        if let Some(other) = passing.iter().find(|word| !RELATIONS.contains(&word.as_str())) {
            problems.add(
                "passing_categories",
                format!("{} is none of {}", crate::excerpt::quote(other), RELATIONS.join(", ")),
            );
            return None;
        }
        (problems.len() == before).then_some(())?;
        Some(Self {
            jury: jury?,
            reference,
            passing,
            own,
        })
    }

    pub(crate) fn run<'a>(&'a self, seen: &'a Seen<'_>, sample: &Sample<'a>, place: &Place<'a>) -> Step<Finding> {
        let reference = expected(self.reference.as_deref(), sample)?;
        self.jury.hear(place, "the share of samples that pass", |place| {
            let form = Form::of(
                "relation",
                [
                    ("reason", json!({"type": "string"})),
                    ("relation", json!({"type": "string", "enum": RELATIONS})),
                ],
            );
            let prompt = || {
                let task = format!(
                    "Compare the facts of the ANSWER with those of the EXPERT ANSWER. Leave style, grammar and punctuation \
                     aside. {}",
                    demand()
                );
                Prompt::new(task)
                    .with_some("INPUT", sample.background.input)
                    .with("EXPERT ANSWER", &*reference)
                    .with("ANSWER", seen.text())
            };
            let told = || match &self.own {
                Some(own) => own.told(seen, sample, Some(&reference), &[], &demand()),
                None => prompt().finish(),
            };
            let answer = self.jury.put(place, told, form)?;
            let relation = text(answer, "relation");
            let passes = self.passing.iter().any(|word| word == relation);
            Ok(Vote {
                score: f64::from(u8::from(passes)),
                passes,
                reason: format!("{relation}: {}", text(answer, "reason")),
            })
        })
    }
}

/// The form of the answer.
fn demand() -> String {
    format!(
        "Answer with a JSON object of \"reason\" (one or two sentences) and \"relation\", which is\n\
         \"{SUBSET}\" when the answer has some of the facts of the expert's and contradicts none,\n\
         \"{SUPERSET}\" when it has all of them and more, and contradicts none,\n\
         \"{SAME}\" when it has the same facts,\n\
         \"{DISAGREEMENT}\" when they contradict each other,\n\
         \"{IMMATERIAL}\" when they differ in ways that do not matter for the facts."
    )
}

/// What to compare with: the metric's own text, else the test's.
pub(super) fn expected<'a>(own: Option<&'a str>, sample: &Sample<'a>) -> Step<Cow<'a, str>> {
    match own {
        Some(own) => Ok(Cow::Borrowed(own)),
        None => {
            let expected = sample.subject.expected()?;
            let text = scalar_text(expected);
            Ok(text.ok_or_else(|| "the expected_output is no text".to_owned())?)
        }
    }
}
