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
    /// `recover` does not compare its fence.
    RecoverWithoutFence,
    /// `recover` leaves the collection with its holder.
    RecoverKeepsCollection,
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
    /// Whatever frees a slot does not offer the endpoint.
    FreeForgetsOffer,
    /// A limit that is raised does not offer the endpoint.
    RaiseForgetsOffer,
    /// A hold that is released does not offer the endpoint.
    ReleaseForgetsOffer,
    /// An entry of `wakes` is taken out and the endpoint is not offered.
    WakeForgetsOffer,
    /// A collection that frees slots does not offer the endpoint.
    FillForgetsOffer,
    /// A worker that says that a call stopped does not offer the endpoint.
    StopForgetsOffer,
    /// What a budget of tokens keeps back is not offered when calls have lingered long enough.
    TokensForgetLingering,
    /// The last run that leaves an endpoint takes it out of `ready:endpoints`, and out of `wakes` only if it was not there.
    LineLeavesWake,
    /// A claim that is refused does not put the run that a result of the same script released in line.
    ComerForgotten,
    /// `reap` leaves the slot of what it takes.
    ReapKeepsSlot,
    /// Calls that linger take no room.
    LingeringUncounted,
    /// Calls that linger do so until their worker says that they stopped, whether it can or not.
    LingeringForever,
    /// A result that is told once more releases those that depend on it once more.
    DependencyCountedTwice,
    /// A result that stops its run does not free its slot.
    StopKeepsSlot,
    /// `claim` does not look whether the endpoint is held.
    HoldIgnored,
    /// The room that a test leaves in its group is not passed on.
    GroupForgetsNext,
    /// A slot that is given back before the result does not offer the endpoint.
    VacateForgetsOffer,
    /// A worker gives the slot back while it still calls.
    VacateEarly,
    /// The request of a lost worker is not one of the budget.
    LossUnspent,
    /// A run whose budget is used up is not ended.
    SpentNeverEnds,
}

/// Some mutations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutations(u64);

impl Mutations {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    #[must_use]
    pub fn of(mutations: &[Mutation]) -> Self {
        Self(mutations.iter().fold(0, |all, one| all | 1 << (*one as u64)))
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn has(self, mutation: Mutation) -> bool {
        self.0 & (1 << (mutation as u64)) != 0
    }
}
