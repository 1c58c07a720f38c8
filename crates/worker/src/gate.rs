//! Lets calls of models in, within limits that hold over all workers.

use std::time::Duration;

use futures_util::future::BoxFuture;
use testfleet_judge::{Gate, Limited, Pass};
use testfleet_store::{Entry, Store};
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

    async fn admit(&self, model: &Limited, permit: &str) {
        let lasts = model.longest.saturating_add(MARGIN);
        let mut backoff = Backoff::default();
        let mut asked = 0_u32;
        loop {
            match self.store.enter_model(&model.key, permit, &model.limits, lasts).await {
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
    fn enter<'a>(&'a self, model: &'a Limited) -> BoxFuture<'a, Box<dyn Pass>> {
        Box::pin(async {
            let pass = StorePass {
                store: self.store.clone(),
                model: model.key.clone(),
                permit: Uuid::new_v4().simple().to_string(),
                left: false,
            };
            // Made before: whoever is cancelled while the answer is on its way may be in.
            self.admit(model, &pass.permit).await;
            Box::new(pass) as Box<dyn Pass>
        })
    }
}

struct StorePass {
    store: Store,
    model: String,
    permit: String,
    left: bool,
}

impl StorePass {
    /// Where the store does not answer, the place ends by itself.
    async fn give_back(store: Store, model: String, permit: String, hold: Option<Duration>) {
        if let Err(error) = store.leave_model(&model, &permit, hold).await {
            debug!(model, %error, "the place of a call could not be given back; it ends by itself");
        }
    }
}

impl Pass for StorePass {
    fn leave(mut self: Box<Self>, hold: Option<Duration>) -> BoxFuture<'static, ()> {
        self.left = true;
        let (store, model, permit) = (self.store.clone(), self.model.clone(), self.permit.clone());
        Box::pin(Self::give_back(store, model, permit, hold))
    }
}

impl Drop for StorePass {
    /// A call that was cut off. Nobody waits for this: what it does not do, time does.
    fn drop(&mut self) {
        if self.left {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, model, permit) = (self.store.clone(), self.model.clone(), self.permit.clone());
            drop(runtime.spawn(Self::give_back(store, model, permit, None)));
        }
    }
}
