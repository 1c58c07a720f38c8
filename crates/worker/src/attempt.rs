//! What an executor is given and what it answers.

use std::future::Future;
use std::time::Duration;

use testfleet_model::{RunId, Status};
use testfleet_store::{ClaimedTest, Feedback};

use crate::clock::ServerClock;
use crate::tenure::Tenure;

/// A claimed test, as executors get it.
#[derive(Debug)]
pub struct Job {
    /// The test and the right to it.
    pub test: ClaimedTest,
    /// The server's clock at the claim.
    pub claimed_at: ServerClock,
    /// How long the right lasts.
    pub(crate) tenure: Tenure,
    /// The incarnation of the worker that has it.
    pub(crate) holder: String,
}

/// What came of an attempt.
#[derive(Debug)]
pub enum Outcome {
    /// The test has its result.
    Done {
        /// Its status, for the counts.
        status: Status,
        /// The result as stored.
        result: Vec<u8>,
        /// Sequential: all values captured so far, as JSON; empty to leave them as they are.
        captured: String,
        /// Keep the test among the dead, with this reason; empty for an ordinary result.
        give_up: String,
        /// What the attempt told about the endpoint.
        feedback: Feedback,
    },
    /// Another attempt after this time.
    Retry {
        /// How long to wait.
        delay: Duration,
        /// What the attempt told about the endpoint.
        feedback: Feedback,
    },
    /// Not tried, or not to its end; somebody may try after this time, and no attempt is spent.
    NotNow {
        /// How long to wait.
        delay: Duration,
        /// Whether the endpoint may have been called.
        sent: bool,
    },
}

/// Something that can execute tests.
pub trait Execute: Send + Sync + 'static {
    /// Executes one attempt of one test. May be dropped at any point.
    fn execute(&self, job: Job) -> impl Future<Output = Outcome> + Send;

    /// A run is over: what was kept for it may go.
    fn forget(&self, _run: RunId) {}
}
