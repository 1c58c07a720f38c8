//! Lets calls of models in, within limits that hold over all workers.

use std::time::Duration;

use futures_util::future::BoxFuture;
use testfleet_judge::{Gate, Limited, Pass};
use testfleet_store::{Entry, Store, StoreError};
use tokio::time::Instant;
use tracing::debug;
use uuid::Uuid;

use crate::backoff::{Backoff, jitter};

/// What a place outlives the longest call by: for what the network and this process do besides.
const MARGIN: Duration = Duration::from_secs(5);
/// The first wait of a call that is not let in, and the longest: others may leave at any time.
const WAITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Asks the store.
#[derive(Clone)]
pub(crate) struct StoreGate {
    store: Store,
}

impl StoreGate {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    async fn admit(&self, model: &Limited, holder: &str, permit: &str) {
        let lasts = model.longest.saturating_add(MARGIN);
        let mut backoff = Backoff::default();
        let mut asked = 0_u32;
        loop {
            match self
                .store
                .enter_model(&model.key, holder, permit, &model.limits, lasts)
                .await
            {
                Ok(Entry::Entered) => return,
                Ok(Entry::Wait(wait, limit)) => {
                    asked = asked.saturating_add(1);
                    backoff.reset();
                    debug!(
                        model = model.key,
                        limit,
                        wait_ms = wait.as_millis(),
                        "a call of a model waits for room"
                    );
                    let (first, longest) = WAITS;
                    let patience = testfleet_model::retry::backoff(first, longest, asked, jitter());
                    tokio::time::sleep(wait.min(patience).max(Duration::from_millis(1))).await;
                }
                // Calling without a place could break the limit; the test's own time ends the wait.
                Err(error) => tokio::time::sleep(backoff.after(&error)).await,
            }
        }
    }
}

impl std::fmt::Debug for StoreGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreGate")
    }
}

impl Gate for StoreGate {
    fn enter<'a>(&'a self, model: &'a Limited, holder: &'a str) -> BoxFuture<'a, Box<dyn Pass>> {
        Box::pin(async move {
            let mut pass = StorePass {
                place: Place {
                    store: self.store.clone(),
                    model: model.key.clone(),
                    holder: holder.to_owned(),
                    permit: Uuid::new_v4().simple().to_string(),
                    lasts: model.longest.saturating_add(MARGIN),
                    since: Instant::now(),
                },
                left: false,
            };
            // Made before: whoever is cancelled while the answer is on its way may be in.
            self.admit(model, holder, &pass.place.permit).await;
            pass.place.since = Instant::now();
            Box::new(pass) as Box<dyn Pass>
        })
    }
}

/// What a call holds.
#[derive(Clone)]
struct Place {
    store: Store,
    model: String,
    /// The incarnation of the worker that calls.
    holder: String,
    permit: String,
    /// After which the place is free in any case.
    lasts: Duration,
    since: Instant,
}

impl Place {
    async fn give_back(&self, hold: Option<Duration>) -> Result<(), StoreError> {
        self.store
            .leave_model(&self.model, &self.holder, &self.permit, hold)
            .await
    }

    /// Tries again until the place ends by itself.
    async fn give_back_in_the_end(self, hold: Option<Duration>) {
        let begun = Instant::now();
        let mut backoff = Backoff::default();
        loop {
            let left = hold.map(|hold| hold.saturating_sub(begun.elapsed()));
            let Err(error) = self.give_back(left).await else { return };
            let wait = backoff.after(&error);
            if self.since.elapsed().saturating_add(wait) >= self.lasts {
                debug!(model = self.model, %error, "the place of a call could not be given back; it ends by itself");
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }
}

struct StorePass {
    place: Place,
    left: bool,
}

impl Pass for StorePass {
    fn leave(mut self: Box<Self>, hold: Option<Duration>) -> BoxFuture<'static, ()> {
        self.left = true;
        let place = self.place.clone();
        Box::pin(async move {
            // The answer of the model is not kept waiting for a store that is away.
            if place.give_back(hold).await.is_err() {
                tokio::spawn(place.give_back_in_the_end(hold));
            }
        })
    }
}

impl Drop for StorePass {
    /// A call that was cut off. Nobody waits for this: what it does not do, time does, or the loss of the worker.
    fn drop(&mut self) {
        if self.left {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(self.place.clone().give_back_in_the_end(None)));
        }
    }
}
