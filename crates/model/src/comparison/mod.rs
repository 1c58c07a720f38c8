//! Two runs compared test by test: what is better, worse, the same, new and gone, and whether chance alone would explain it.
//!
//! [`Outcomes`] is what is kept of a run for that; it is small enough to be kept as a baseline when the run itself is long
//! forgotten. [`compare`] holds one against another, and [`BaselineResult`] is what a summary says of it.

mod baseline;
mod change;
mod comparing;
mod direction;
mod outcome;
mod statistic;

pub use baseline::{BaselineResult, Source};
pub use change::{Change, ChangeKind, Comparison, PairedChange, Standing};
pub use comparing::{MAX_LISTED_CHANGES, compare};
pub use direction::Direction;
pub use outcome::{MAX_COMPARED_METRICS, OutcomeFold, Outcomes, OutcomesProblem, TestOutcome};
pub use statistic::{fisher_exact, sign_test};
