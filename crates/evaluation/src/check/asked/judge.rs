//! `judge`: a model gives a score on a scale of yours, or puts the answer into one of your categories.

use serde_json::json;
use testfleet_model::configuration::{Message, Metric};

use super::asking::{Place, Step};
use super::fence::Prompt;
use super::form::Form;
use super::judged::{Jury, criteria, number, text};
use super::own_prompt::OwnPrompt;
use super::sampling::Vote;
use crate::excerpt::quote;
use crate::finding::Finding;
use crate::language::Language;
use crate::problem::Problems;
use crate::subject::{Sample, Seen, text_of};

/// A question of yours, compiled.
#[derive(Debug)]
pub(crate) struct Judge {
    jury: Jury,
    /// Empty where the author's own prompt says it all.
    question: String,
    own: Option<OwnPrompt>,
    answers: Answers,
}

#[derive(Debug)]
enum Answers {
    Scores { min: f64, max: f64 },
    Categories { all: Vec<String>, passing: Vec<String> },
}

impl Judge {
    pub(crate) fn compile(metric: &Metric, language: Option<Language>, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        let own = OwnPrompt::compile(metric, language, problems);
        let question = criteria(metric, problems);
        let (jury, answers) = if metric.categories.is_empty() {
            let (min, max) = metric.score_range();
            // Written so that NaN is refused too.
            if !(min.is_finite() && max.is_finite() && min < max) {
                problems.add("max", format!("must be more than min ({min})"));
                return None;
            }
            let jury = Jury::scoring(metric, None, (min, max), problems);
            (jury, Answers::Scores { min, max })
        } else {
            for (key, given) in [
                ("threshold", metric.threshold.is_some()),
                ("operator", metric.operator.is_some()),
                ("min", metric.min.is_some()),
                ("max", metric.max.is_some()),
            ] {
                if given {
                    problems.add(key, format!("does nothing with categories; remove {key}"));
                }
            }
            if metric.passing_categories.is_empty() {
                problems.add("passing_categories", "write which of the categories pass");
            }
            if let Some(other) = metric
                .passing_categories
                .iter()
                .find(|word| !metric.categories.contains(word))
            {
                problems.add(
                    "passing_categories",
                    format!("{} is none of the categories", quote(other)),
                );
            }
            let answers = Answers::Categories {
                all: metric.categories.clone(),
                passing: metric.passing_categories.clone(),
            };
            (Jury::voting(metric, problems), answers)
        };
        if problems.len() != before {
            return None;
        }
        Some(Self {
            jury: jury?,
            question: question?,
            own,
            answers,
        })
    }

    pub(crate) fn run<'a>(&'a self, seen: &'a Seen<'_>, sample: &Sample<'a>, place: &Place<'a>) -> Step<Finding> {
        self.jury.hear(place, "the judge's score", |place| {
            let reason = ("reason", json!({"type": "string"}));
            match &self.answers {
                Answers::Scores { min, max } => {
                    let score = json!({"type": "number", "minimum": min, "maximum": max});
                    let form = Form::of("score", [reason, ("score", score)]);
                    let answer = self.jury.put(place, || self.told(seen, sample), form)?;
                    Ok(Vote {
                        score: number(answer, "score")?,
                        passes: false,
                        reason: text(answer, "reason").to_owned(),
                    })
                }
                Answers::Categories { all, passing } => {
                    let category = json!({"type": "string", "enum": all});
                    let form = Form::of("category", [reason, ("category", category)]);
                    let answer = self.jury.put(place, || self.told(seen, sample), form)?;
                    let category = text(answer, "category");
                    let passes = passing.iter().any(|word| word == category);
                    Ok(Vote {
                        score: f64::from(u8::from(passes)),
                        passes,
                        reason: format!("category {}: {}", quote(category), text(answer, "reason")),
                    })
                }
            }
        })
    }

    fn told<'a>(&self, seen: &'a Seen<'_>, sample: &Sample<'a>) -> Step<Vec<Message>> {
        match &self.own {
            Some(own) => own.told(seen, sample, None, &[("criteria", &self.question)], &self.demand()),
            None => self.prompt(seen, sample).finish(),
        }
    }

    /// The form of the answer.
    fn demand(&self) -> String {
        let wanted = match &self.answers {
            Answers::Scores { min, max } => format!("\"score\" (a number from {min}, the worst, to {max}, the best)"),
            Answers::Categories { all, .. } => {
                let all: Vec<String> = all.iter().map(|word| quote(word)).collect();
                format!("\"category\" (one of {})", all.join(", "))
            }
        };
        format!("Answer with a JSON object of \"reason\" (one or two sentences) and {wanted}.")
    }

    fn prompt<'a>(&self, seen: &'a Seen<'_>, sample: &Sample<'a>) -> Prompt {
        let task = format!(
            "Judge the ANSWER by this question:\n\n{}\n\nThe INPUT, where there is one, is what the answer was given to; the \
             EXPECTED ANSWER, where there is one, is what a good answer looks like. {}",
            self.question,
            self.demand()
        );
        Prompt::new(task)
            .with_some("INPUT", sample.background.input)
            .with("ANSWER", seen.text())
            .with_some("EXPECTED ANSWER", sample.subject.expected.map(text_of))
    }
}
