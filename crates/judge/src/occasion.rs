//! For which test somebody is asked.

use chrono::{DateTime, Utc};
use testfleet_model::RunId;

/// What a call says about itself, in the headers that calls of endpoints have too.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The name of its configuration.
    pub run_name: &'a str,
    /// The id of the test.
    pub test_id: &'a str,
    /// Its place in the submitted order, from 0.
    pub index: u32,
    /// The epoch of the run, from 1.
    pub epoch: u32,
    /// The turn of a dialogue whose answer it is about, from 1; `None`: the test as a whole.
    pub turn: Option<u32>,
    /// The attempt of the test, from 1.
    pub attempt: u32,
    /// The incarnation of the worker that holds the test.
    pub holder: &'a str,
    /// The time now, for a `Retry-After` that is a date.
    pub now: DateTime<Utc>,
}
