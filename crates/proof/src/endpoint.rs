//! What is stored about an endpoint: who waits there, and what its admission goes by.
//!
//! Times are left out. What waits for a time has a [`Cause`], and that time comes at any moment: a step of its own.

use crate::set::Set;
use crate::state::Token;

/// How many endpoints the model can have.
pub const ENDPOINTS: usize = 2;
/// How many tenants the model can have.
pub const TENANTS: usize = 2;
/// How many calls can linger at an endpoint of the model.
const LINGERING: usize = 4;
/// The room of an endpoint without a limit.
pub(crate) const UNBOUNDED: u8 = 100;

/// What time alone ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// An operator's hold with an end: `hold_until`.
    Hold,
    /// An endpoint asked to be left alone for a while: `retry_until`.
    RetryAfter,
    /// The breaker is open: `open_until`.
    Breaker,
    /// The rate is used up: `tat`.
    Rate,
    /// Calls go on although the right to them is over.
    Lingering,
}

/// An entry of `wakes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wake {
    /// It is due when this has come.
    At(Cause),
    /// Its time has come; the next claim finds it.
    Due,
}

/// An operator's hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// There is none.
    #[default]
    None,
    /// It has an end.
    Timed,
    /// Until somebody releases it.
    UntilReleased,
}

/// The breaker: it opens with the first failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breaker {
    /// Everything goes through.
    #[default]
    Closed,
    /// Nothing does.
    Open,
    /// One call decides.
    HalfOpen,
}

/// A call that may go on although the right to it is over: an entry of `lingering`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lingering {
    /// The run.
    pub run: u8,
    /// The test.
    pub index: u8,
    /// The right that is over.
    pub token: Token,
}

/// The keys of an endpoint. `slots` are with the runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Whether it is in `ready:endpoints`.
    pub ready: bool,
    /// Its entry in `wakes`.
    pub wake: Option<Wake>,
    /// `tenants`.
    pub tenants: Set,
    /// `<tenant>:waiting`: runs by tenant.
    pub waiting: [Set; TENANTS],
    /// Whether an operator's limit holds instead of the one that runs bring.
    pub set: bool,
    /// The adaptive limit.
    pub limit: Option<u8>,
    /// An operator's hold.
    pub hold: Hold,
    /// Whether a Retry-After is not over.
    pub retry_after: bool,
    /// The breaker.
    pub breaker: Breaker,
    /// How many calls conform to the rate now.
    pub credit: u8,
    lingering: [Option<Lingering>; LINGERING],
}

impl Endpoint {
    /// The calls that linger.
    pub fn lingering(&self) -> impl Iterator<Item = Lingering> {
        self.lingering.into_iter().flatten()
    }

    /// Adds a call; there is always room for it in a model of this size.
    pub(crate) fn linger(&mut self, call: Lingering) {
        if let Some(place) = self.lingering.iter_mut().find(|place| place.is_none()) {
            *place = Some(call);
        }
        self.lingering.sort_unstable();
    }

    /// Takes calls out; answers whether there were any.
    pub(crate) fn forget(&mut self, which: impl Fn(Lingering) -> bool) -> bool {
        let before = self.lingering;
        for place in &mut self.lingering {
            *place = place.filter(|call| !which(*call));
        }
        self.lingering.sort_unstable();
        self.lingering != before
    }

    /// What was waited for has come.
    pub(crate) fn come(&mut self, cause: Cause) {
        if self.wake == Some(Wake::At(cause)) {
            self.wake = Some(Wake::Due);
        }
    }

    /// Whether it has still to come.
    pub(crate) fn awaits(&self, cause: Cause, burst: Option<u8>) -> bool {
        match cause {
            Cause::Hold => self.hold == Hold::Timed,
            Cause::RetryAfter => self.retry_after,
            Cause::Breaker => self.breaker == Breaker::Open,
            Cause::Rate => burst.is_some_and(|burst| self.credit < burst),
            Cause::Lingering => self.lingering().next().is_some(),
        }
    }

    pub(crate) fn each_token(&mut self, change: &mut impl FnMut(&mut Token)) {
        self.lingering
            .iter_mut()
            .flatten()
            .for_each(|call| change(&mut call.token));
        self.lingering.sort_unstable();
    }

    /// What nobody without a right may change.
    pub(crate) fn state(&self) -> Self {
        Self {
            ready: false,
            wake: None,
            lingering: [None; LINGERING],
            ..*self
        }
    }
}
