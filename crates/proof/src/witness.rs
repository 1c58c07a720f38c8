//! Who has the right to what, and what happened: kept beside the store, by rules that no mutation changes. The promises
//! are judged by it.

use crate::set::{Set, TESTS};
use crate::state::{Job, RUNS, Token};

/// Something that must not happen and that cannot be read from a state afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Somebody without the right changed something.
    ZombieChanged,
    /// A test started before the one in front of it had its result.
    OutOfOrder,
    /// A test was given out of a run that was closed or paused, or although it had its result.
    Phantom,
    /// A call began on a right that had been taken.
    StaleCall,
    /// A result was replaced.
    Overwritten,
    /// An attempt was given out although all were spent.
    TooManyAttempts,
    /// A test was given out beyond a limit of the endpoint or of the fleet, or before the rate allowed it.
    OverLimit,
    /// A test was given out while its endpoint was held.
    HoldBroken,
    /// A test began before those it depends on had their results.
    TooEarly,
}

/// What is known about one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// Whose right to which test is valid.
    pub tests: [Option<Token>; TESTS],
    /// Whose right to the collection is valid.
    pub collect: Option<Token>,
    /// Whose right to the notification is valid.
    pub notify: Option<Token>,
    /// Attempts that failed or whose worker was lost, in this epoch.
    pub spent: [u8; TESTS],
    /// How often this epoch became terminal, 2 for more.
    pub ended: u8,
    /// Mails sent for this epoch, 3 for more.
    pub mails: u8,
    /// How often a sender lost the right to send, 2 for more.
    pub excuses: u8,
    /// Tests that this epoch was opened for, if it is not the first.
    pub chosen: Set,
    /// Calls that this epoch began, where there is a budget.
    pub calls: u8,
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Witness {
    /// By run.
    pub runs: [Seen; RUNS],
    breaches: u16,
}

impl Witness {
    /// Notes a breach.
    pub fn note(&mut self, breach: Breach) {
        self.breaches |= 1 << (breach as u16);
    }

    /// Whether it happened.
    #[must_use]
    pub fn saw(&self, breach: Breach) -> bool {
        self.breaches & (1 << (breach as u16)) != 0
    }

    /// Whose right to a job is valid.
    pub fn right(&mut self, run: u8, job: Job) -> &mut Option<Token> {
        let seen = &mut self.runs[usize::from(run)];
        match job {
            Job::Test(index) => &mut seen.tests[usize::from(index)],
            Job::Collect => &mut seen.collect,
            Job::Notify => &mut seen.notify,
        }
    }
}
