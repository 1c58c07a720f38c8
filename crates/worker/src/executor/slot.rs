//! The slot that a test has at its endpoint, for as long as it calls it.

use std::future::Future;

use testfleet_store::{ClaimedTest, Store, Vacancy};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::backoff::Backoff;
use crate::clock::ServerClock;
use crate::load::{Load, feedback};

/// Of a test whose endpoint has answered, and what its attempt tells of it: now, when the slot is given back while metrics ask
/// somebody else, or with the result.
pub(super) struct Slot<'a> {
    store: &'a Store,
    /// The incarnation of the worker that holds the test.
    holder: &'a str,
    job: &'a ClaimedTest,
    claimed_at: ServerClock,
    load: Load,
}

impl<'a> Slot<'a> {
    pub(super) fn new(
        store: &'a Store,
        holder: &'a str,
        job: &'a ClaimedTest,
        claimed_at: ServerClock,
        load: Load,
    ) -> Self {
        Self {
            store,
            holder,
            job,
            claimed_at,
            load,
        }
    }

    /// What is still to be told with the result.
    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// Gives the slot back while `asking` goes on, and answers what that came to. Where the store does not answer until then, the
    /// slot is freed with the result like that of any test.
    pub(super) async fn vacate_while<T>(&mut self, asking: impl Future<Output = T>) -> T {
        let over = CancellationToken::new();
        let asked = async {
            let answer = asking.await;
            over.cancel();
            answer
        };
        let (is_told, answer) = tokio::join!(self.vacate(&over), asked);
        if is_told {
            self.load.signal = self.load.signal.told();
        }
        answer
    }

    /// Whether what the attempt told has been taken. A call that was sent is waited for: whether it came is to be known.
    async fn vacate(&self, over: &CancellationToken) -> bool {
        let vacancy = Vacancy {
            run: self.job.run,
            index: self.job.index,
            fence: self.job.fence,
            feedback: feedback(self.load, self.claimed_at),
        };
        let mut backoff = Backoff::default();
        loop {
            match self.store.vacate(self.holder, std::slice::from_ref(&vacancy)).await {
                // Also when the right has moved on: then the result changes nothing either.
                Ok(_) => return true,
                Err(error) => {
                    debug!(run.id = %vacancy.run, test.index = vacancy.index, %error, "the slot of a test could not be given back");
                    tokio::select! {
                        biased;
                        () = over.cancelled() => return false,
                        () = tokio::time::sleep(backoff.after(&error)) => {}
                    }
                }
            }
        }
    }
}
