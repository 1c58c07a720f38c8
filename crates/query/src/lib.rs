//! JSONPath (RFC 9535) over what others sent, at a bounded cost.
//!
//! A path is written by the author of a configuration and runs over whatever an endpoint answers: it says where the fields
//! of a result are, what a metric looks at, and which event of a stream is the last. However hostile the answer, a path
//! gives what it selects or one error, within bounded time and memory.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod budget;
mod function;
mod path;
mod pattern;
mod shape;

pub use budget::{Budget, OverBudget};
pub use path::Path;
