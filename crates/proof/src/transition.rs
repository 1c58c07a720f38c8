//! The transitions of the store, one file per script, step by step as the script takes them.

mod cancel;
mod claim;
mod collect;
mod complete;
mod extend;
mod fill;
mod hand_back;
mod heartbeat;
mod pause;
mod reap;
mod reconcile;
mod register;
mod reopen;
mod resume;
mod retry;
mod settle_notification;
mod sweep;

mod closing;
mod holding;
mod placing;
mod releasing;

pub use claim::Chance;
pub(crate) use claim::{Given, Grant, room_of};
pub(crate) use complete::Settlement;
pub(crate) use placing::free_slots;
pub(crate) use reconcile::{Known, Reconciled};

use crate::mutation::Mutation;
use crate::scenario::Scenario;
use crate::state::{Run, Store};
use crate::witness::Witness;

/// Scripts that are modelled: each has a file of its name here.
pub const MODELLED: &[&str] = &[
    "cancel",
    "claim",
    "collect",
    "complete",
    "extend",
    "fill",
    "hand_back",
    "heartbeat",
    "pause",
    "reap",
    "reconcile",
    "register",
    "reopen",
    "resume",
    "retry",
    "settle_notification",
    "sweep",
];

/// Scripts that are not, and why.
pub const NOT_MODELLED: &[(&str, &str)] = &[
    (
        "create",
        "the model begins with an activated run; nobody but the submitter touches one before",
    ),
    ("stage", "as `create`"),
    ("activate", "one step, whose effect is the first state of the model"),
    (
        "tick",
        "says when to reap and to sweep; here both may happen at any time",
    ),
    (
        "deregister",
        "only a worker that holds nothing is forgotten, which changes nothing for any run",
    ),
    (
        "put_config",
        "stored configurations are copied into runs before they begin",
    ),
    ("remove_config", "as `put_config`"),
    (
        "revive",
        "puts a notification that was given up back as `collect` made it; giving up is not modelled",
    ),
    ("drop_dead", "removes what nothing is decided from"),
    ("examine_index", "looks for damage that no transition does"),
    ("examine_run", "as `examine_index`"),
    ("examine_tests", "as `examine_index`"),
    (
        "mend_counts",
        "mends damage that no transition does; there is none in the model",
    ),
    ("mend_index", "as `mend_counts`"),
    ("mend_run", "as `mend_counts`"),
    ("mend_tests", "as `mend_counts`"),
    ("repair", "as `mend_counts`"),
];

/// Answers of a transition: what a worker has to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It was done.
    Done,
    /// It had been done before.
    Already,
    /// The right was not there, or the run is in no state for it.
    Refused,
}

/// A script at work: it has the store for itself.
pub(crate) struct Server<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) witness: &'a mut Witness,
    pub(crate) scenario: &'a Scenario,
}

impl Server<'_> {
    fn run(&mut self, run: u8) -> &mut Run {
        &mut self.store.runs[usize::from(run)]
    }

    fn has(&self, mutation: Mutation) -> bool {
        self.scenario.has(mutation)
    }

    /// A number that was never drawn before: a fence or an epoch.
    pub(crate) fn draw(&mut self) -> u8 {
        self.store.drawn += 1;
        self.store.drawn
    }
}
