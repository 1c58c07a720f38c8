//! Where a metric asks: questions that have no answer yet are collected, and the metric stays open.
//!
//! A metric is computed anew, from its beginning, whenever more answers are there. It asks the same questions under the same
//! names each time, so it goes a step further each time, and ends when nothing is open. Nothing here waits for anybody.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::question::{Addressee, Answer, Ask, Question};
use crate::finding::{Finding, Outcome};

/// The answers of one evaluation by the names of their questions.
pub(crate) type Answers = BTreeMap<String, Answer>;

/// Why a metric does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A question is open.
    Open,
    /// It cannot be computed; a lower-case fragment.
    Failed(String),
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// A step of a metric that asks.
pub(crate) type Step<T> = Result<T, Stop>;

/// What a metric found out; `None` while a question is open.
pub(crate) fn outcome(step: Step<Finding>) -> Option<Outcome> {
    match step {
        Ok(finding) => Some(Ok(finding)),
        Err(Stop::Open) => None,
        Err(Stop::Failed(why)) => Some(Err(why)),
    }
}

/// All of them, asked at once; the first that failed, else open while one is.
pub(crate) fn all<T>(steps: impl Iterator<Item = Step<T>>) -> Step<Vec<T>> {
    let mut found = Vec::new();
    let mut open = false;
    // Every one is made before anything is decided, so that all that can be asked now is asked.
    let mut failed = None;
    for step in steps {
        match step {
            Ok(one) => found.push(one),
            Err(Stop::Open) => open = true,
            Err(Stop::Failed(why)) => failed = failed.or(Some(why)),
        }
    }
    match failed {
        Some(why) => Err(Stop::Failed(why)),
        None if open => Err(Stop::Open),
        None => Ok(found),
    }
}

/// The place of a metric among all of an evaluation, and the answers there are.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    answers: &'a Answers,
    open: &'a RefCell<Vec<Question>>,
    path: String,
}

impl<'a> Place<'a> {
    pub(crate) fn new(answers: &'a Answers, open: &'a RefCell<Vec<Question>>, path: String) -> Self {
        Self { answers, open, path }
    }

    /// The place of a member, a sample or a step.
    pub(crate) fn within(&self, part: impl std::fmt::Display) -> Self {
        Self {
            answers: self.answers,
            open: self.open,
            path: format!("{}/{part}", self.path),
        }
    }

    /// The answer to a question, which is asked when there is none yet.
    pub(crate) fn ask(&self, to: Addressee, ask: impl FnOnce() -> Step<Ask>) -> Step<&'a Value> {
        self.asked(to, false, ask)
    }

    /// The same for a question that depends on the configuration only.
    pub(crate) fn ask_once(&self, to: Addressee, ask: impl FnOnce() -> Step<Ask>) -> Step<&'a Value> {
        self.asked(to, true, ask)
    }

    fn asked(&self, to: Addressee, is_shared: bool, ask: impl FnOnce() -> Step<Ask>) -> Step<&'a Value> {
        match self.answers.get(&self.path) {
            Some(Answer { reply: Ok(value), .. }) => Ok(value),
            Some(Answer { reply: Err(why), .. }) => Err(Stop::Failed(why.clone())),
            None => {
                let question = Question {
                    id: self.path.clone(),
                    to,
                    ask: ask()?,
                    is_shared,
                };
                self.open.borrow_mut().push(question);
                Err(Stop::Open)
            }
        }
    }

    /// The answers at this place and below.
    fn given(&self) -> impl Iterator<Item = &'a Answer> {
        let below = format!("{}/", self.path);
        let answers = self.answers.range(self.path.clone()..);
        answers
            .take_while(|(id, _)| id.starts_with(&self.path))
            .filter(move |(id, _)| **id == self.path || id.starts_with(&below))
            .map(|(_, answer)| answer)
    }

    /// Whether there are questions at this place or below without an answer, and each of them may have one another time.
    pub(crate) fn is_transient(&self) -> bool {
        let mut unanswered = self.given().filter(|answer| answer.reply.is_err()).peekable();
        unanswered.peek().is_some() && unanswered.all(|answer| answer.transient)
    }

    /// What all questions at this place and below took.
    pub(crate) fn spent(&self) -> Spent {
        let mut spent = Spent::default();
        for answer in self.given() {
            for (name, tokens) in &answer.usage {
                *spent.usage.entry(name.clone()).or_default() += tokens;
            }
            if let Some(cost) = answer.cost {
                *spent.cost.get_or_insert(0.0) += cost;
            }
        }
        spent
    }
}

/// What the questions of a metric took.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    pub(crate) usage: BTreeMap<String, f64>,
    pub(crate) cost: Option<f64>,
}
