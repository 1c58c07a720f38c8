//! Metrics over a response, and the rules that make a verdict of them.
//!
//! * [`MetricSet`] compiles metrics once (regular expressions, schemas, paths) and evaluates them over any number
//!   of responses.
//! * [`decide`] turns the results of a test's metrics into its status; [`effective`] says which metrics those are.
//! * [`assess`] does all of that for one test; [`Evaluation`] does it for tests with metrics that ask somebody: it gives out
//!   [`Question`]s, takes [`Answer`]s, and never asks by itself.
//! * [`Prompt`] and [`Form`] are how a model is shown texts that are data, and how its answer is read.
//!
//! No I/O, no async, no clock, no randomness: time is passed in. Nothing here panics on any output. Where a measure
//! would cost far more than the sizes of pattern and output suggest (Levenshtein, JSONPath), it is an error of the metric
//! that says so. One bound is missing: a JSON Schema may ask for exponential work.
//!
//! Deliberately absent: calling an endpoint or a model, a language for templates (values of metrics are data), and
//! deciding what to do with an endpoint that failed; a test whose call failed has no metrics evaluated.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod assessment;
mod check;
mod effective;
mod excerpt;
mod finding;
mod language;
mod metric_set;
mod option;
mod problem;
mod subject;
mod transform;
mod verdict;

pub use assessment::{Assessment, Evaluation, assess};
pub use check::asked::{Addressee, Answer, Ask, Form, Prompt, Question, Webhook};
pub use effective::effective;
pub use language::{Language, PROMPT_VARIABLES, PromptPart, PromptTemplate, Template, VARIABLES, Words};
pub use metric_set::MetricSet;
pub use problem::MetricProblem;
pub use subject::{Background, Call, Goal, Headers, Sample, Subject};
pub use verdict::{Decision, decide};
