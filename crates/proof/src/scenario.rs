//! How large a model is, and what may happen in it.

use crate::mutation::{Mutation, Mutations};

/// A model: sizes, limits, and what may happen. Everything in it is explored exhaustively.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// For people.
    pub name: &'static str,
    /// At most [`RUNS`](crate::state::RUNS).
    pub runs: u8,
    /// Of each run, at most [`TESTS`](crate::set::TESTS).
    pub tests: u8,
    /// At most [`WORKERS`](crate::state::WORKERS); each does one test and one control job at a time.
    pub workers: u8,
    /// `retry.max_attempts`.
    pub attempts: u8,
    /// Sequential, with a cap of 1; else Parallel.
    pub sequential: bool,
    /// `batch_concurrency` of each run.
    pub cap: u8,
    /// `max_concurrency` of the endpoint.
    pub endpoint: Option<u8>,
    /// How many faults may happen, at any time: an answer that comes late or never, a call that is executed late or
    /// never, a crash, a freeze, a live worker that is taken for lost, a job past its hard deadline.
    pub faults: u8,
    /// Attempts may fail and be made again.
    pub failing: bool,
    /// Tests may end without having passed.
    pub erring: bool,
    /// Workers may hand back what they hold (a clean stop), as often as they like.
    pub handing_back: bool,
    /// Runs may be cancelled.
    pub cancel: bool,
    /// Deadlines of runs may pass.
    pub deadline: bool,
    /// Runs may be paused and resumed, as often as somebody likes.
    pub pause: bool,
    /// Ended runs may be reopened until they have had this many epochs.
    pub epochs: u8,
    /// Runs are to be mailed.
    pub mail: bool,
    /// Rules left out.
    pub mutations: Mutations,
}

impl Scenario {
    /// One Parallel run of two tests on two workers, in which nothing goes wrong.
    #[must_use]
    pub const fn calm(name: &'static str) -> Self {
        Self {
            name,
            runs: 1,
            tests: 2,
            workers: 2,
            attempts: 2,
            sequential: false,
            cap: 2,
            endpoint: None,
            faults: 0,
            failing: false,
            erring: false,
            handing_back: false,
            cancel: false,
            deadline: false,
            pause: false,
            epochs: 1,
            mail: false,
            mutations: Mutations::NONE,
        }
    }

    /// The same with rules left out.
    #[must_use]
    pub fn without(mut self, mutations: &[Mutation]) -> Self {
        self.mutations = Mutations::of(mutations);
        self
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutations.has(mutation)
    }
}
