//! Rules that can be broken on purpose: what the checker is tested with.

/// One rule of the scripts or of the workers, left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Writes compare the worker but not the fence.
    NoFence,
    /// The fence rises at the claim only: after an expiry the old holder is valid until the next claim.
    FenceOnlyAtClaim,
    /// `complete` counts down for every result it is told, also for one that is stored already.
    CountdownPerCompletion,
    /// `complete` sets `collecting`; its caller queues the collection with a call of its own.
    CollectionByCaller,
    /// `collect` does not compare its fence.
    CollectWithoutFence,
    /// `cancel` leaves the run in `ready`.
    CancelLeavesReady,
    /// `claim` does not look at the state of the run.
    ClaimIgnoresState,
    /// In Sequential the next test is released by the claim of the one before, not by its result.
    ReleasedAtClaim,
    /// A worker does not reconcile after an answer was lost.
    NoReconcile,
    /// `claim` and `complete` do not compare the epoch.
    NoEpoch,
    /// `retry` keeps the slot of the endpoint.
    RetryKeepsSlot,
    /// `reopen` leaves the old results.
    ReopenKeepsResults,
    /// `reopen` leaves the cursor where it was: tests that were never claimed are claimed as fresh ones, too.
    ReopenKeepsCursor,
    /// `reopen` queues the tests in the order in which it is told of them.
    ReopenInAnyOrder,
    /// An attempt whose worker was lost is not counted.
    LossUncounted,
    /// A worker that cannot renew its lease goes on with Sequential tests.
    NoSelfRelease,
    /// A worker starts what a late answer gives it without looking whether its lease is still its own.
    LateAnswerStarts,
    /// `reconcile` is executed whatever epoch its sender had.
    ReconcileAnyEpoch,
    /// `place` does not look whether the run is paused.
    PlaceIgnoresPause,
    /// A run that leaves `ready` unserved does not pass the room of the endpoint on.
    RoomNotPassedOn,
}

/// Some mutations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutations(u32);

impl Mutations {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    #[must_use]
    pub fn of(mutations: &[Mutation]) -> Self {
        Self(mutations.iter().fold(0, |all, one| all | 1 << (*one as u32)))
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn has(self, mutation: Mutation) -> bool {
        self.0 & (1 << (mutation as u32)) != 0
    }
}
