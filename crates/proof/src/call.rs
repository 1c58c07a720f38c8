//! Calls of workers as they are sent: each is executed once, at any time, or never.

use crate::set::Set;
use crate::state::{Job, Results, Token};
use crate::transition::{Chance, Grant, Known, Reconciled, Server, Settlement, Word};
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
            Self::Retry { run, index, fence } => Some((run, Job::Test(index), fence)),
            Self::HandBack { run, job, fence } => Some((run, job, fence)),
            Self::Fill { run, fence, .. } | Self::Collect { run, fence, .. } => Some((run, Job::Collect, fence)),
            Self::Settle { run, fence, .. } => Some((run, Job::Notify, fence)),
            Self::Reconcile { .. } => None,
        }
    }

    /// The server executes it. The witness looks whether somebody without the right changes something.
    pub(crate) fn execute(&self, server: &mut Server<'_>, worker: u8, chance: Chance) -> Answer {
        let before = (server.store.runs, server.store.jobs);
        let rightful = self
            .subject()
            .is_none_or(|(run, job, fence)| *server.witness.right(run, job) == Some(Token { worker, fence }));
        let word = self.write(server, worker);
        if !rightful && before != (server.store.runs, server.store.jobs) {
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

    fn write(&self, server: &mut Server<'_>, worker: u8) -> Word {
        let token = |fence| Token { worker, fence };
        match *self {
            Self::Complete { result, .. } => result.map_or(Word::Done, |of| server.complete(worker, of)),
            Self::Retry { run, index, fence } => server.retry(run, index, token(fence)),
            Self::HandBack { run, job, fence } => server.hand_back(run, job, token(fence)),
            Self::Fill { run, fence, missing } => server.fill(run, token(fence), missing),
            Self::Collect { run, fence, summary } => server.collect(run, token(fence), summary),
            Self::Settle { run, fence, sent } => server.settle_notification(run, token(fence), sent),
            Self::Reconcile { .. } => Word::Done,
        }
    }
}
