//! What an examination of the store can find: one kind per invariant, with what it means and what mending does.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! kinds {
    ($($variant:ident = $word:literal, $meaning:literal, $mending:literal;)+) => {
        /// The invariant that does not hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind {
            $(#[doc = $meaning] $variant,)+
        }

        impl FindingKind {
            /// Every kind, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name: stable, for scripts.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The kind of a name; `None` when there is no such kind.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// What follows from it as long as it stays.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// What mending does; empty when nothing safe can be done.
            #[must_use]
            pub fn mending(self) -> &'static str {
                match self { $(Self::$variant => $mending,)+ }
            }
        }
    };
}

kinds! {
    RunDamaged = "run-damaged", "no script can work on the run", "the run ends; its tests without a result are in error and say why";
    Quarantined = "quarantined", "the run was set aside because a script could not work on it", "the run ends; its tests without a result are in error and say why";
    Unexaminable = "unexaminable", "a script that only looks cannot read it", "";
    WrongType = "wrong-type", "somebody else's data is under a key of ours, and calls that need it fail", "the key is set aside for a day and made anew from what is known of the runs";
    RunUnlisted = "run-unlisted", "views do not show the run, and nothing forgets it", "it is listed";
    FieldMissing = "field-missing", "views and the summary show less than there is", "it is derived from what is there";
    CountdownWrong = "countdown-wrong", "views show a wrong number; the end of the run does not depend on it", "it is written anew from the results";
    CountsWrong = "counts-wrong", "views show wrong numbers; the summary does not depend on them", "they are counted anew from the results";
    ResultForeign = "result-foreign", "the run cannot end", "results of tests that the run does not have are removed";
    ResultLost = "result-lost", "the run has ended; its summary knows more than its results", "";
    SummaryMissing = "summary-missing", "the run has ended and nothing says how; its results are there", "";
    TestLost = "test-lost", "nobody tries the test; its run ends at its deadline", "it waits to be claimed again";
    TestTwice = "test-twice", "the test may be tried twice; one result counts", "it is left where it counts most";
    PayloadLost = "payload-lost", "the test cannot be executed", "it ends in error and says why";
    PayloadLeft = "payload-left", "memory is held until the run ends", "it is removed";
    DialogueLeft = "dialogue-left", "memory is held until the run ends", "it is removed";
    PlaceMissing = "place-missing", "nothing of the run is claimed until a sweep finds it", "it waits in line";
    TurnMissing = "turn-missing", "nothing of the endpoint is claimed until a sweep finds it", "it is offered again";
    PlaceTwice = "place-twice", "the run may get more than its share, or start while it is paused", "it is left in one place";
    PlaceWrong = "place-wrong", "claims look at it in vain", "it is removed from there";
    CapExceeded = "cap-exceeded", "more tests of the run are in flight than it allows", "";
    LeaseMissing = "lease-missing", "nobody takes the job back when its holder hangs", "it has a lease again";
    LeaseOrphan = "lease-orphan", "the reaper looks at it in vain", "it is removed";
    HolderUnknown = "holder-unknown", "nobody takes the job back when its holder is lost", "the holder is registered with a lease that is over: it renews it, or is reaped";
    JobUnlisted = "job-unlisted", "the job is not taken back with the others of a lost worker", "it is listed";
    JobOrphan = "job-orphan", "the worker does not end as idle", "it is removed";
    OwnerUnreadable = "owner-unreadable", "nobody can complete the job or give it back", "it can be claimed again";
    SlotMissing = "slot-missing", "the endpoint may get one call more than its limit", "it has a slot again";
    SlotOrphan = "slot-orphan", "the endpoint gets one call less than its limit allows", "it is removed";
    LimitUnreadable = "limit-unreadable", "calls of the endpoint are made one at a time", "it is 1 until the next run against it brings its own";
    EndpointUnlisted = "endpoint-unlisted", "views do not show the endpoint, and its limits may be forgotten or stay for ever", "it is listed";
    WorkerUnlisted = "worker-unlisted", "nobody takes its jobs back when it is lost", "it is registered with a lease that is over: it renews it, or is reaped";
    WorkerRecordMissing = "worker-record-missing", "the worker is given nothing", "it begins a new epoch at its next claim";
    DeadlineMissing = "deadline-missing", "the run may never end", "it has one: the latest that is known of a run against its endpoint";
    DeadlineLeft = "deadline-left", "the sweeper looks at it in vain", "it is removed";
    CollectionMissing = "collection-missing", "the run ends only when a sweep finds it", "it is queued";
    CollectionUnwanted = "collection-unwanted", "a worker looks at it in vain", "it is removed";
    ControlTwice = "control-twice", "the job may be done twice", "it is left with its holder";
    ControlOrphan = "control-orphan", "a worker looks at it in vain", "it is removed";
    AttemptsOrphan = "attempts-orphan", "memory is held for nothing", "they are removed";
    DelayedOrphan = "delayed-orphan", "memory is held until it is due", "it is removed";
    NotificationMissing = "notification-missing", "nobody is told that the run has ended", "it is queued";
    OutboxMissing = "outbox-missing", "nobody is told that the run has ended", "the mail is marked as given up";
    OutboxOrphan = "outbox-orphan", "memory is held for nothing", "it is removed";
    DeadRecordMissing = "dead-record-missing", "nobody knows why the job was given up", "a record says that it was lost";
    DeadUnlisted = "dead-unlisted", "no list shows the job, and nothing forgets it", "it is listed";
    ExpiryMissing = "expiry-missing", "memory is held for ever", "it expires: after the retention, or when it says nothing any more";
    ExpiryEarly = "expiry-early", "the run loses data while it is running", "it does not expire";
    ModelHeld = "model-held", "metrics that ask the model wait until the time of their tests is over", "it is removed";
    ModelUnreadable = "model-unreadable", "a limit of the model does not hold", "it is removed: the next call brings its own";
    Leftover = "leftover", "memory is held until the run is forgotten", "it is removed";
    QuarantineOrphan = "quarantine-orphan", "memory is held for nothing", "it is removed";
    ConfigurationLost = "configuration-lost", "a stored configuration is listed and cannot be read", "it is taken off the list";
    ConfigurationUnlisted = "configuration-unlisted", "no list shows the configuration", "it is listed";
    BaselineLost = "baseline-lost", "a baseline is listed and cannot be compared with", "it is taken off the list";
    BaselineUnlisted = "baseline-unlisted", "no list shows the baseline", "it is listed";
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// An invariant that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub code: FindingKind,
    /// The run it is about; `None` when it is about something that all runs share.
    pub test_run_id: Option<String>,
    /// The job, key or entry.
    pub subject: String,
    /// What is there instead.
    pub detail: String,
    /// Whether something safe can be done.
    pub mendable: bool,
}
