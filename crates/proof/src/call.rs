//! Calls of workers as they are sent: each is executed once, at any time, or never.

use crate::endpoint::{ENDPOINTS, Endpoint};
use crate::set::Set;
use crate::state::{Job, RUNS, Results, Run, Token, WORKERS};
use crate::transition::{Chance, Grant, Known, Reconciled, Server, Settlement, Told, Word};
use crate::witness::Breach;

/// A call with its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Call {
    /// `complete` with its claim; `claim` when there is no result.
    Complete {
        epoch: u8,
        result: Option<Settlement>,
        tests: bool,
        control: bool,
    },
    Retry {
        run: u8,
        index: u8,
        fence: u8,
        told: Told,
    },
    Vacate {
        run: u8,
        index: u8,
        fence: u8,
    },
    HandBack {
        run: u8,
        job: Job,
        fence: u8,
    },
    Reconcile {
        epoch: u8,
        known: Known,
    },
    Fill {
        run: u8,
        fence: u8,
        missing: Set,
    },
    Collect {
        run: u8,
        fence: u8,
        summary: Results,
    },
    Recover {
        run: u8,
        fence: u8,
        epoch: u8,
        index: u8,
        last: bool,
    },
    Settle {
        run: u8,
        fence: u8,
        sent: bool,
    },
}

/// What a call answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// A word about the job.
    Word(Word),
    /// A word about the result, and what was claimed.
    Claimed(Word, Grant),
    /// Of `reconcile`.
    Epoch(Reconciled),
}

impl Call {
    /// The job that it needs a right to.
    fn subject(&self) -> Option<(u8, Job, u8)> {
        match *self {
            Self::Complete { result, .. } => result.map(|of| (of.run, Job::Test(of.index), of.fence)),
            Self::Retry { run, index, fence, .. } | Self::Vacate { run, index, fence } => {
                Some((run, Job::Test(index), fence))
            }
            Self::HandBack { run, job, fence } => Some((run, job, fence)),
            Self::Fill { run, fence, .. } | Self::Collect { run, fence, .. } | Self::Recover { run, fence, .. } => {
                Some((run, Job::Collect, fence))
            }
            Self::Settle { run, fence, .. } => Some((run, Job::Notify, fence)),
            Self::Reconcile { .. } => None,
        }
    }

    /// The server executes it. The witness looks whether somebody without the right changes something.
    pub(crate) fn execute(&self, server: &mut Server<'_>, worker: u8, chance: Chance) -> Answer {
        let before = seen(server);
        let rightful = self
            .subject()
            .is_none_or(|(run, job, fence)| *server.witness.right(run, job) == Some(Token { worker, fence }));
        let word = self.write(server, worker, chance);
        if !rightful && before != seen(server) {
            server.witness.note(Breach::ZombieChanged);
        }
        match *self {
            Self::Complete {
                epoch, tests, control, ..
            } => Answer::Claimed(word, server.claim(worker, epoch, tests, control, chance)),
            Self::Reconcile { epoch, known } => Answer::Epoch(server.reconcile(worker, epoch, known)),
            _ => Answer::Word(word),
        }
    }

    fn write(&self, server: &mut Server<'_>, worker: u8, chance: Chance) -> Word {
        let token = |fence| Token { worker, fence };
        match *self {
            Self::Complete { result, tests, .. } => {
                result.map_or(Word::Done, |of| server.complete(worker, of, tests, chance))
            }
            Self::Retry {
                run,
                index,
                fence,
                told,
            } => server.retry(run, index, token(fence), told),
            Self::Vacate { run, index, fence } => server.vacate(run, index, token(fence), chance),
            Self::HandBack { run, job, fence } => server.hand_back(run, job, token(fence)),
            Self::Fill { run, fence, missing } => server.fill(run, token(fence), missing),
            Self::Collect { run, fence, summary } => server.collect(run, token(fence), summary),
            Self::Recover {
                run,
                fence,
                epoch,
                index,
                last,
            } => server.recover(run, token(fence), epoch, index, last),
            Self::Settle { run, fence, sent } => server.settle_notification(run, token(fence), sent),
            Self::Reconcile { .. } => Word::Done,
        }
    }
}

/// What nobody without a right may change.
fn seen(server: &Server<'_>) -> ([Run; RUNS], [[Set; RUNS]; WORKERS], [Endpoint; ENDPOINTS]) {
    let store = &server.store;
    (store.runs, store.jobs, store.endpoints.map(|endpoint| endpoint.state()))
}
