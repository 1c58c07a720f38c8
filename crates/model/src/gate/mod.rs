//! Gates: what has to hold of a run as a whole, such as `pass_rate >= 0.95`.
//!
//! A [`GateRule`](crate::configuration::GateRule) is written in a configuration; its text is an [`Expression`]: a
//! [`Measure`], an operator and a number. When the run has ended, it is held against the [`Figures`] of the run, or of the
//! part of it that the gate is about, and becomes a [`GateResult`] of the summary. A measure that is not known never holds.

mod evaluation;
mod expression;
mod filter;
mod measure;
mod parts;

pub use evaluation::{GateResult, overall};
pub use expression::{Comparator, Expression};
pub use filter::{Filter, FilterProblem};
pub use measure::{BaselineMeasure, CountMeasure, Measure, MetricMeasure, Quantile, RateMeasure, Seen};
pub use parts::{MAX_FILTERS, PartialRun};

pub(crate) use crate::summary::Figures;
