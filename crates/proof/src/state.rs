//! What is stored: the keys of a run and of a worker, reduced to what decides something.
//!
//! Fields are named after the keys of ARCHITECTURE.md. Times are left out: whatever waits for a time may find that it has
//! come, or not.

use crate::endpoint::{ENDPOINTS, Endpoint};
use crate::scenario::Scenario;
use crate::set::{Line, Set, TESTS};
use crate::witness::Witness;
use crate::worker::Worker;

/// How many runs the model can have.
pub const RUNS: usize = 2;
/// How many workers the model can have.
pub const WORKERS: usize = 2;

/// Everything: the server, the workers, and what a witness saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// What the server has.
    pub store: Store,
    /// The processes.
    pub workers: [Worker; WORKERS],
    /// What really happened, told by nobody who takes part.
    pub witness: Witness,
    /// How many faults may still happen.
    pub faults: u8,
}

/// What the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Store {
    /// The runs.
    pub runs: [Run; RUNS],
    /// The endpoints.
    pub endpoints: [Endpoint; ENDPOINTS],
    /// `workers` with `worker`: the epoch of each that is registered.
    pub seats: [Option<u8>; WORKERS],
    /// `worker:jobs`: the jobs of each run that a worker is recorded to hold, by [`Job::bit`].
    pub jobs: [[Set; RUNS]; WORKERS],
    /// The highest number that was drawn; fences and epochs are drawn from it.
    pub drawn: u8,
}

/// The state of a run. `preparing` is not modelled; `queued` and `progress` differ only for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// There is no such run.
    #[default]
    Absent,
    /// `queued` or `progress`.
    Open,
    /// `collecting`.
    Collecting,
    /// Terminal, with its summary.
    Ended,
    /// `reopening`: between the first and the last call of `reopen`.
    Reopening,
}

/// Something that can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// A test.
    Test(u8),
    /// `collect:<run>`.
    Collect,
    /// `notify:<run>`.
    Notify,
}

impl Job {
    /// Its place in a [`Set`].
    #[must_use]
    pub fn bit(self) -> u8 {
        match self {
            Self::Test(index) => index,
            Self::Collect => 6,
            Self::Notify => 7,
        }
    }

    /// The job at a place of a [`Set`].
    #[must_use]
    pub fn from_bit(bit: u8) -> Self {
        match bit {
            6 => Self::Collect,
            7 => Self::Notify,
            index => Self::Test(index),
        }
    }
}

/// The right to a job, as every write carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The incarnation.
    pub worker: u8,
    /// The fence.
    pub fence: u8,
}

/// An entry of `owners`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Whose it is.
    pub token: Token,
    /// Which attempt, from 1.
    pub attempt: u8,
    /// Of a test: its endpoint has answered, and its slot was given back.
    pub answered: bool,
}

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It passed.
    Pass,
    /// It did not, or is in error.
    Fail,
    /// The collection marked it as not executed.
    Filled,
}

/// A stored result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome {
    /// What became of the test.
    pub kind: Kind,
    /// In which epoch of its run.
    pub epoch: u8,
}

/// The results of a run, by index.
pub type Results = [Option<Outcome>; TESTS];

/// A collection or a notification in `control`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// Whether it is in `control`.
    pub queued: bool,
    /// Its entry in `control:owners`.
    pub owner: Option<Owner>,
}

/// The keys of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The state.
    pub phase: Phase,
    /// Whether it was cancelled or overdue.
    pub stopped: bool,
    /// 1, and one more each time it is reopened.
    pub epoch: u8,
    /// How many tests it has.
    pub total: u8,
    /// The first test not claimed yet.
    pub next: u8,
    /// Tests to claim again.
    pub again: Line,
    /// Its tests in `delayed`.
    pub delayed: Set,
    /// `tries`: attempts spent, lost workers included.
    pub tries: [u8; TESTS],
    /// `owners`.
    pub owners: [Option<Owner>; TESTS],
    /// Its jobs in `leases`, by [`Job::bit`].
    pub leases: Set,
    /// Its tests in the endpoint's `slots`.
    pub slots: Set,
    /// `tests`: which of them have their payload.
    pub payloads: Set,
    /// `kept`: payloads of tests that did not pass.
    pub kept: Set,
    /// `results`.
    pub results: Results,
    /// `countdown`.
    pub countdown: i8,
    /// `summary`: what the collection said.
    pub summary: Option<Results>,
    /// Whether it is in `paused`.
    pub paused: bool,
    /// `waits`: of a test, how many of those it depends on have no result yet.
    pub waits: [u8; TESTS],
    /// `unmet`: tests of which one that they depend on did not pass.
    pub unmet: Set,
    /// `group:slots`.
    pub group_slots: Set,
    /// `group:waiting`.
    pub group_waiting: Line,
    /// `spent_requests`.
    pub requests: u8,
    /// The job `collect:<run>`.
    pub collect: Lane,
    /// The job `notify:<run>`.
    pub notify: Lane,
    /// `recovering`: whose right to open a round it is, while results are taken back.
    pub recovering: Option<Token>,
    /// Whether it is in `outbox`.
    pub outbox: bool,
    /// Only with [`Mutation::FenceOnlyAtClaim`](crate::Mutation): the last right that was given to a test.
    pub last: [Option<Token>; TESTS],
}

impl Run {
    /// A run that is being activated; it has to be placed.
    pub(crate) fn activated(scenario: &Scenario) -> Self {
        let total = scenario.tests;
        let mut run = Self {
            phase: Phase::Open,
            epoch: 1,
            total,
            payloads: Set::below(total),
            countdown: i8::try_from(total).unwrap_or(i8::MAX),
            ..Self::default()
        };
        if scenario.is_shaped() {
            run.next = total;
            for index in 0..total {
                let needed = scenario.needs[usize::from(index)].len() as u8;
                run.waits[usize::from(index)] = needed;
                if needed == 0 {
                    run.again.push_back(index);
                }
            }
        }
        run
    }

    /// `queued` or `progress`.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// How many tests have a result.
    #[must_use]
    pub fn result_count(&self) -> u8 {
        Set::below(self.total)
            .iter()
            .filter(|index| self.results[usize::from(*index)].is_some())
            .count() as u8
    }

    /// The tests that somebody holds.
    #[must_use]
    pub fn owned(&self) -> Set {
        Set::below(self.total)
            .iter()
            .filter(|index| self.owners[usize::from(*index)].is_some())
            .collect()
    }

    /// Those of them that call their endpoint, as far as is known.
    #[must_use]
    pub fn calling(&self) -> Set {
        Set::below(self.total)
            .iter()
            .filter(|index| self.owners[usize::from(*index)].is_some_and(|owner| !owner.answered))
            .collect()
    }

    /// Whoever holds the job.
    #[must_use]
    pub fn owner(&self, job: Job) -> Option<Owner> {
        match job {
            Job::Test(index) => self.owners[usize::from(index)],
            Job::Collect => self.collect.owner,
            Job::Notify => self.notify.owner,
        }
    }

    /// The lane of a control job.
    pub fn lane(&mut self, job: Job) -> &mut Lane {
        match job {
            Job::Notify => &mut self.notify,
            _ => &mut self.collect,
        }
    }
}

impl std::hash::Hash for Run {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        self.phase.hash(hasher);
        // A run that is not there has nothing else that differs.
        if self.phase == Phase::Absent {
            return;
        }
        (
            self.stopped,
            self.epoch,
            self.total,
            self.next,
            self.again,
            self.delayed,
        )
            .hash(hasher);
        (
            self.tries,
            self.owners,
            self.leases,
            self.slots,
            self.payloads,
            self.kept,
        )
            .hash(hasher);
        (self.results, self.countdown, self.summary, self.paused, self.requests).hash(hasher);
        (self.waits, self.unmet, self.group_slots, self.group_waiting).hash(hasher);
        (self.collect, self.notify, self.outbox, self.last, self.recovering).hash(hasher);
    }
}
