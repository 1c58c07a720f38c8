//! The steps of those who take part: workers, operators, the reaper, the sweeper, and chance.

use crate::endpoint::{Cause, Hold};
use crate::state::{Job, Kind};
use crate::transition::{Chance, Told};

/// What becomes of a call. All but the first are faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is executed and answered.
    Answered,
    /// It is executed; the answer comes late, or never.
    Late,
    /// It is not executed yet; its sender gives it up, and it may arrive later.
    Stray,
}

/// One step of one of those who take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "`worker`, `run`, `job` and `delivery` are the same everywhere"
)]
pub enum Action {
    /// A worker asks to be known.
    Register { worker: u8 },
    /// A worker ends its attempt with a result, if there is one, and asks for more.
    Complete {
        worker: u8,
        kind: Option<Kind>,
        chance: Chance,
        delivery: Delivery,
    },
    /// A worker ends an attempt without a result.
    Retry { worker: u8, told: Told, delivery: Delivery },
    /// A worker whose endpoint has answered gives its slot back, and asks somebody else.
    Vacate {
        worker: u8,
        chance: Chance,
        delivery: Delivery,
    },
    /// A worker gives a job back.
    HandBack { worker: u8, job: Job, delivery: Delivery },
    /// A worker that lost an answer says what it holds.
    Reconcile { worker: u8, delivery: Delivery },
    /// A late answer comes.
    Receive { worker: u8 },
    /// A late answer is not waited for any more.
    GiveUp { worker: u8 },
    /// A heartbeat tells a worker something it did not know.
    Heartbeat { worker: u8 },
    /// A worker that could not renew its lease stops its Sequential test.
    LetGo { worker: u8 },
    /// A collection reads the results.
    Read { worker: u8 },
    /// A collection fills in what is missing.
    Fill { worker: u8, delivery: Delivery },
    /// A collection commits.
    Collect { worker: u8, delivery: Delivery },
    /// A collection takes this test back for a recovery round, the last one or not.
    Recover {
        worker: u8,
        index: u8,
        last: bool,
        delivery: Delivery,
    },
    /// Only with [`Mutation::CollectionByCaller`](crate::Mutation): the collection is queued.
    Announce { worker: u8 },
    /// A notification makes sure of its right.
    Extend { worker: u8 },
    /// A mail goes out, or cannot.
    Send { worker: u8, sent: bool },
    /// A notification says what became of the mail.
    Settle { worker: u8, delivery: Delivery },
    /// A process crashes.
    Crash { worker: u8 },
    /// A process starts in its place, when its predecessor was taken for lost.
    Restart { worker: u8 },
    /// A process is stopped, and does not know.
    Freeze { worker: u8 },
    /// It goes on.
    Thaw { worker: u8 },
    /// The server executes a call that was given up.
    Arrive { worker: u8, chance: Chance },
    /// The lease of a worker ends, and its jobs are taken.
    Reap { worker: u8 },
    /// A job is past its hard deadline, and taken.
    Overdue { run: u8, job: Job },
    /// Somebody cancels a run.
    Cancel { run: u8 },
    /// The deadline of a run has passed.
    Deadline { run: u8 },
    /// A collection that is neither queued nor held is queued again.
    Requeue { run: u8 },
    /// Somebody pauses a run.
    Pause { run: u8 },
    /// Somebody resumes it.
    Resume { run: u8 },
    /// Somebody reopens a run with this test, the last one or not.
    Reopen { run: u8, index: u8, last: bool },
    /// A run that somebody began to reopen is opened with what was chosen.
    OpenReopened { run: u8 },
    /// Somebody sets a limit, or clears it.
    SetEndpoint { endpoint: u8, set: bool },
    /// Somebody holds an endpoint.
    HoldEndpoint { endpoint: u8, hold: Hold },
    /// Somebody ends whatever holds it.
    ReleaseEndpoint { endpoint: u8 },
    /// What an endpoint, or its entry in `wakes`, waits for has come.
    Come { endpoint: u8, cause: Cause },
    /// A call of an endpoint, by its place, lingers no more: its worker has renewed since, or is cut off.
    Expire { endpoint: u8, place: u8 },
}

impl Action {
    /// Whether this is part of getting on with the work: no fault, no operator, and nothing that only rescues what would
    /// else be lost (hard deadlines, deadlines of runs, collections queued again, calls that were given up).
    #[must_use]
    pub fn gets_on(&self) -> bool {
        match self {
            Self::Complete { delivery, .. }
            | Self::Retry { delivery, .. }
            | Self::Vacate { delivery, .. }
            | Self::HandBack { delivery, .. }
            | Self::Reconcile { delivery, .. }
            | Self::Fill { delivery, .. }
            | Self::Collect { delivery, .. }
            | Self::Recover { delivery, .. }
            | Self::Settle { delivery, .. } => *delivery == Delivery::Answered,
            Self::Register { .. }
            | Self::Receive { .. }
            | Self::GiveUp { .. }
            | Self::Heartbeat { .. }
            | Self::Read { .. }
            | Self::Announce { .. }
            | Self::Extend { .. }
            | Self::Send { .. }
            | Self::Restart { .. }
            | Self::Thaw { .. }
            | Self::Reap { .. }
            | Self::Resume { .. }
            | Self::OpenReopened { .. }
            | Self::ReleaseEndpoint { .. }
            | Self::Come { .. }
            | Self::Expire { .. } => true,
            Self::LetGo { .. }
            | Self::Crash { .. }
            | Self::Freeze { .. }
            | Self::Arrive { .. }
            | Self::Overdue { .. }
            | Self::Cancel { .. }
            | Self::Deadline { .. }
            | Self::Requeue { .. }
            | Self::Pause { .. }
            | Self::Reopen { .. }
            | Self::SetEndpoint { .. }
            | Self::HoldEndpoint { .. } => false,
        }
    }
}
