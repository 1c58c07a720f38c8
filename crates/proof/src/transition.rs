//! The transitions of the store, one file per script, step by step as the script takes them.

mod cancel;
mod claim;
mod collect;
mod complete;
mod extend;
mod fill;
mod hand_back;
mod heartbeat;
mod hold_endpoint;
mod pause;
mod reap;
mod reconcile;
mod recover;
mod register;
mod release_endpoint;
mod reopen;
mod resume;
mod retry;
mod set_endpoint;
mod settle_notification;
mod sweep;
mod vacate;

mod admission;
mod closing;
mod feedback;
mod holding;
mod placing;
mod releasing;
mod shaping;
mod spending;

pub(crate) use admission::admission;
pub use claim::Chance;
pub(crate) use claim::{Given, Grant, room_of};
pub(crate) use complete::Settlement;
pub use feedback::Told;
pub(crate) use reconcile::{Known, Reconciled};

use crate::mutation::Mutation;
use crate::scenario::Scenario;
use crate::state::{Run, Store, Token, WORKERS};
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
    "hold_endpoint",
    "pause",
    "reap",
    "reconcile",
    "recover",
    "register",
    "release_endpoint",
    "reopen",
    "resume",
    "retry",
    "set_endpoint",
    "settle_notification",
    "sweep",
    "vacate",
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
        "arrange",
        "part of the submission, as `stage`; the shape of a run is there in the first state of the model",
    ),
    (
        "set_fleet",
        "the cap of the fleet is no place where anything waits: endpoints stay in `ready:endpoints`; it does not change here",
    ),
    (
        "set_tenant",
        "weights order what is ready, and any order is possible here",
    ),
    ("why", "writes nothing"),
    ("look_endpoint", "writes nothing"),
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
        "put_baseline",
        "copies what an ended run has come to; nothing but comparisons reads it",
    ),
    ("remove_baseline", "as `put_baseline`"),
    (
        "checkpoint",
        "keeps data of a test under its holder's fence; no transition decides anything by it",
    ),
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
    (
        "enter_model",
        "calls of models belong to no test or run: no state of the model is touched; their promise is tried in random orders in \
         `crates/store/tests/model.rs`",
    ),
    ("leave_model", "as `enter_model`"),
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
    /// A run that has something to claim after a result, in a script that claims itself: it is served at once, or goes in line.
    pub(crate) comer: Option<u8>,
    /// For the witness: calls that go on, those of workers that are cut off excepted.
    pub(crate) calls: [Option<Going>; WORKERS],
}

/// A call that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Going {
    pub(crate) run: u8,
    pub(crate) index: u8,
    pub(crate) token: Token,
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
