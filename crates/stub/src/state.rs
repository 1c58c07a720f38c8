//! What all routes share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::admission::Admission;
use crate::behaviour::{Behaviour, BehaviourError};
use crate::call_log::{CallLog, Clock};
use crate::conversation::Conversations;
use crate::first_call::FirstCalls;
use crate::knowledge::Knowledge;
use crate::limit::StubLimits;
use crate::routes::Tokens;
use crate::ticket::Tickets;

/// What all routes share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) calls: Arc<CallLog>,
    pub(crate) knowledge: Knowledge,
    pub(crate) tickets: Tickets,
    pub(crate) tokens: Tokens,
    pub(crate) conversations: Conversations,
    pub(crate) token: Option<String>,
    pub(crate) admission: Admission,
    /// For `fail_first` of the behaviour.
    pub(crate) behaviour_failures: FirstCalls,
    /// For `fail_first` of an entry of the knowledge.
    pub(crate) knowledge_failures: FirstCalls,
    behaviour: RwLock<Arc<Behaviour>>,
    since_behaviour: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        clock: Clock,
        calls: Arc<CallLog>,
        knowledge: Knowledge,
        token: Option<String>,
        behaviour: Behaviour,
    ) -> Self {
        Self {
            clock,
            calls,
            knowledge,
            tickets: Tickets::default(),
            tokens: Tokens::default(),
            conversations: Conversations::default(),
            token,
            admission: Admission::default(),
            behaviour_failures: FirstCalls::default(),
            knowledge_failures: FirstCalls::default(),
            behaviour: RwLock::new(Arc::new(behaviour)),
            since_behaviour: AtomicU64::new(0),
        }
    }

    pub(crate) fn behaviour(&self) -> Arc<Behaviour> {
        Arc::clone(&self.behaviour.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the behaviour and starts its counters afresh.
    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) -> Result<(), BehaviourError> {
        behaviour.check()?;
        let mut current = self.behaviour.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(behaviour);
        self.since_behaviour.store(0, Ordering::Release);
        self.behaviour_failures.clear();
        self.admission.reset();
        Ok(())
    }

    /// Replaces the limits alone. Calls in flight, counters and what is left of the rate stay as they are.
    pub(crate) fn set_limits(&self, limits: StubLimits) -> Result<(), BehaviourError> {
        limits.check()?;
        let mut current = self.behaviour.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut current).limits = limits;
        Ok(())
    }

    /// The number of a call since the behaviour was set, from 1.
    pub(crate) fn count_call(&self) -> u64 {
        self.since_behaviour.fetch_add(1, Ordering::AcqRel) + 1
    }
}
