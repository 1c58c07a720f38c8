//! How large a model is, and what may happen in it.

use crate::mutation::{Mutation, Mutations};
use crate::set::TESTS;
use crate::transition::Told;

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
    /// At most [`ENDPOINTS`](crate::endpoint::ENDPOINTS); with two, each run has its own.
    pub endpoints: u8,
    /// At most [`TENANTS`](crate::endpoint::TENANTS); with two, each run has its own.
    pub tenants: u8,
    /// `max_concurrency` of each endpoint, as runs bring it.
    pub endpoint: Option<u8>,
    /// What an operator may set instead, as often as somebody likes.
    pub set: Option<Option<u8>>,
    /// `max_concurrency` of the fleet.
    pub fleet: Option<u8>,
    /// How many calls a rate allows at once; each comes back by time.
    pub rate: Option<u8>,
    /// Whether there is a budget of tokens, and nobody knows yet how many a call takes: one call at a time.
    pub tokens: bool,
    /// Whether the endpoint has a breaker.
    pub breaker: bool,
    /// Endpoints may be held for a time or until they are released, as often as somebody likes.
    pub hold: bool,
    /// What attempts that fail may tell of their endpoint.
    pub tells: &'static [Told],
    /// `budget.requests` of each run.
    pub budget: Option<u8>,
    /// `fail_fast` of each run.
    pub fail_fast: Option<u8>,
    /// By test, those of its run that it depends on.
    pub needs: [&'static [u8]; TESTS],
    /// `max_concurrency` of the group that all tests of a run are in.
    pub group: Option<u8>,
    /// How many faults may happen, at any time: an answer that comes late or never, a call that is executed late or
    /// never, a crash, a freeze, a live worker that is taken for lost, a job past its hard deadline.
    pub faults: u8,
    /// Attempts may fail and be made again.
    pub failing: bool,
    /// Tests may end without having passed.
    pub erring: bool,
    /// Tests may have metrics that ask somebody else: the slot is given back before the result.
    pub judged: bool,
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
    /// So many recovery rounds the collections of a run may open.
    pub rounds: u8,
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
            endpoints: 1,
            tenants: 1,
            endpoint: None,
            set: None,
            fleet: None,
            rate: None,
            tokens: false,
            breaker: false,
            hold: false,
            tells: &[Told::Plain],
            budget: None,
            fail_fast: None,
            needs: [&[]; TESTS],
            group: None,
            faults: 0,
            failing: false,
            erring: false,
            judged: false,
            handing_back: false,
            cancel: false,
            deadline: false,
            pause: false,
            epochs: 1,
            rounds: 0,
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

    /// Whether everything is given out from `again`.
    pub(crate) fn is_shaped(&self) -> bool {
        self.group.is_some() || self.needs.iter().any(|needed| !needed.is_empty())
    }

    pub(crate) fn endpoint_of(&self, run: u8) -> u8 {
        run.min(self.endpoints - 1)
    }

    pub(crate) fn tenant_of(&self, run: u8) -> u8 {
        run.min(self.tenants - 1)
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutations.has(mutation)
    }
}
