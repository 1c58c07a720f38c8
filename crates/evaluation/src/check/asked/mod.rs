//! Metrics that ask somebody else: a model, or a program of yours.
//!
//! Nothing here calls anybody. A metric makes [`Question`]s and goes on when there are answers; whoever evaluates sees to these
//! ([`Evaluation`](crate::Evaluation)). An answer that cannot be had, or that is none, makes the metric an error, never a fail.

pub(crate) mod asking;
mod contextual;
mod factuality;
mod faithfulness;
mod fence;
mod form;
mod g_eval;
mod judge;
mod judged;
mod own_prompt;
mod question;
mod rag;
mod relevancy;
mod rubric;
mod sampling;
mod similar;
mod webhook;

use testfleet_model::configuration::Metric;

use crate::problem::Problems;

pub(crate) use contextual::Contextual;
pub(crate) use factuality::Factuality;
pub(crate) use faithfulness::Faithfulness;
pub use fence::Prompt;
pub use form::Form;
pub(crate) use g_eval::GEval;
pub(crate) use judge::Judge;
pub use question::{Addressee, Answer, Ask, Question, Webhook};
pub(crate) use relevancy::AnswerRelevancy;
pub(crate) use rubric::Rubric;
pub(crate) use similar::Similar;
pub(crate) use webhook::Hook;

/// The metric's own text to compare with; `Some(None)`: that of the test. `None` when there is a problem with it.
fn reference_of(metric: &Metric, problems: &mut Problems) -> Option<Option<String>> {
    match &metric.value {
        None => Some(None),
        Some(value) => {
            let text = crate::subject::scalar_text(value).ok_or_else(|| {
                format!(
                    "{} compares with a text, not with {}",
                    metric.kind.word(),
                    crate::subject::type_word(value)
                )
            });
            problems.take("value", text).map(|text| Some(text.into_owned()))
        }
    }
}
