//! The dispatcher: a configuration and its tests become a run that workers can claim from.
//!
//! [`dispatch`] is the entrance; [`orchestration`] picks the mode and delegates to [`parallel`] or [`sequential`],
//! which differ only in how tests are released. What they have in common (creating the run, streaming its tests,
//! activating it) is in `shared`. Around it stand [`stored`] (configurations by id), [`modes`] (reading and setting
//! the mode of one) and [`progress`](mod@progress) (following a run).
//!
//! Promises: a run that [`dispatch`] answers for has been activated and will end, whatever dies afterwards; one it
//! gives an error for was not acknowledged, and nothing of it is ever executed unless the error says that its answer
//! was lost. The same idempotency key and the same content give the same run. A set is streamed: no more than two
//! chunks of it are in memory.
//!
//! It does not execute tests, read files or compile templates and metrics, and it keeps no state of its own.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arranging;
mod error;
mod intake;
pub mod modes;
pub mod orchestration;
pub mod parallel;
mod past;
pub mod progress;
mod reference;
mod reopening;
pub mod sequential;
mod shared;
mod staging;
mod store_retry;
pub mod stored;
mod subset;

pub use error::{DispatchError, Refusal};
pub use intake::{Intake, TestsDigest, survey, survey_subset};
pub use orchestration::{DispatchLimits, DispatchOptions, Dispatched, Narrowing, Submission, dispatch, dispatch_with};
pub use progress::{Ended, Progress, progress, wait_until_ended};
pub use reopening::{Retried, RetryError, Selection, count_retriable, retry_run};
pub use shared::Release;
pub use store_retry::StoreRetry;
pub use stored::{ConfigurationError, StoredSubmission, dispatch_stored, load_configuration, put_configuration};
pub use subset::{Subset, choose_tests};
