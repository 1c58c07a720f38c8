//! An attempt of a test, as whoever calls and whoever evaluates see it.

use std::time::Duration;

use serde_json::{Map, Value};
use testfleet_endpoint::{Call, Target};
use testfleet_model::configuration::TestCase;
use testfleet_model::recovery::Earlier;
use testfleet_store::ClaimedTest;
use tokio::time::Instant;

use super::since_begun;
use crate::clock::ServerClock;
use crate::plan::Plan;

/// One attempt of a test.
#[derive(Clone, Copy)]
pub(super) struct Trial<'a> {
    pub(super) job: &'a ClaimedTest,
    /// The incarnation of the worker that holds the test.
    pub(super) holder: &'a str,
    pub(super) test: &'a TestCase,
    pub(super) plan: &'a Plan,
    pub(super) claimed_at: ServerClock,
    /// When the test's time is over.
    pub(super) by: Instant,
}

/// One that calls the endpoint.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) trial: Trial<'a>,
    pub(super) target: &'a Target,
}

impl Trial<'_> {
    /// What the endpoint, and whoever is asked about its answer, are told of the attempt. `test`: the test, or a part of it.
    pub(super) fn call<'c>(&'c self, test: &'c TestCase, captured: &'c Map<String, Value>) -> Call<'c> {
        let Self { job, plan, .. } = self;
        Call {
            run: &job.run,
            run_name: &plan.configuration.name,
            test,
            index: job.index,
            epoch: job.epoch,
            attempt: job.attempt,
            captured,
            now: self.claimed_at.now(),
        }
    }

    /// What earlier tests of a Sequential run captured.
    pub(super) fn captured(&self) -> Map<String, Value> {
        serde_json::from_str(&self.job.captured).unwrap_or_default()
    }

    /// Since the test's first attempt was claimed.
    pub(super) fn total_time(&self) -> Duration {
        since_begun(self.job, self.claimed_at)
    }
}

impl<'a> Trial<'a> {
    /// What became of the test before, when this is an attempt of its recovery round.
    pub(super) fn earlier(&self) -> Option<&'a Earlier> {
        let earlier = self.test.earlier.as_ref();
        earlier.filter(|earlier| earlier.is_before(self.job.epoch))
    }
}
