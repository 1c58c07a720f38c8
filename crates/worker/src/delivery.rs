//! The reserved lane: collections, and the delivery of summaries from the outbox.
//!
//! Promises: NOTIFY-ONCE-PLUS (the record is written with the summary; delivery has a retry policy of its own and never
//! changes a run), FAIR (neither waits for room among the tests).

use std::time::Duration;

use testfleet_model::retry::backoff;
use testfleet_model::{RunId, Status, Summary, TestResult};
use testfleet_notify::{Delivery as Sent, Mailer, Message};
use testfleet_store::{ClaimedControl, ControlJob, Delivery, Extended, JobRef, Seat, Store, StoreError};
use tracing::{error, info, warn};

use crate::backoff::{Backoff, jitter};
use crate::collection::{CollectOutcome, Collection};
use crate::control::{Control, ControlFailure};
use crate::letter::Letter;
use crate::options::{MailOptions, WorkerOptions};

/// Failures that are told in a mail.
const WORST: usize = 10;
/// Results read at once while looking for them.
const PAGE: u32 = 500;
/// The first and the longest wait before a collection is tried again.
const COLLECT_BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Beyond the time that delivering may take, how long the right to it lasts.
const DELIVERY_MARGIN: Duration = Duration::from_secs(30);

/// Why there is no message.
enum Uncomposed {
    /// The store does not answer; try again.
    Store(StoreError),
    /// What is stored cannot be read; a sentence.
    Unreadable(String),
}

/// Does control jobs.
pub(crate) struct Courier {
    store: Store,
    mailer: Mailer,
    mail: MailOptions,
    retention: Duration,
    max_result: usize,
}

impl Courier {
    pub(crate) fn new(store: Store, options: &WorkerOptions) -> Self {
        let mail = options.mail.clone();
        let mailer = Mailer::new(&mail.mailer_settings()).unwrap_or_else(|error| {
            error!(%error, "mail cannot be set up; no mail is sent");
            Mailer::disabled()
        });
        Self {
            store,
            mailer,
            mail,
            retention: options.retention,
            max_result: options.max_result_bytes,
        }
    }

    async fn collect(&self, seat: &Seat, run: RunId, fence: u64, attempt: u32) -> Result<(), ControlFailure> {
        let collection = Collection {
            store: &self.store,
            seat,
            run,
            fence,
            retention: self.retention,
            max_result: self.max_result,
            attempt,
        };
        let later = |reason: String| ControlFailure {
            reason,
            delay: backoff(COLLECT_BACKOFF.0, COLLECT_BACKOFF.1, attempt, jitter()),
        };
        match collection.run().await {
            // What goes on has given up its collection itself.
            Ok(CollectOutcome::Committed(_) | CollectOutcome::GoesOn) => Ok(()),
            Ok(CollectOutcome::NotOurs) => {
                // Nothing to collect any more: giving the job back drops it.
                let job = JobRef::control(ControlJob::Collect(run), fence);
                let returned = self.store.hand_back(seat, &[job], Duration::ZERO).await;
                returned.map(drop).map_err(|error| later(error.to_string()))
            }
            Err(error) => Err(later(error.to_string())),
        }
    }

    async fn notify(&self, seat: &Seat, run: RunId, fence: u64, attempt: u32) -> Result<(), ControlFailure> {
        let later = |reason: String| ControlFailure {
            reason,
            delay: self.delay(attempt),
        };
        let message = match self.compose(run).await {
            Ok(Some(message)) => message,
            Ok(None) => {
                let gone = Delivery::Dead {
                    reason: "the summary is gone, so there is nothing to send".to_owned(),
                };
                return self.settle(seat, run, fence, &gone).await;
            }
            Err(Uncomposed::Store(error)) => return Err(later(error.to_string())),
            Err(Uncomposed::Unreadable(reason)) => {
                error!(run.id = %run, reason, "the mail cannot be composed and is given up");
                return self.settle(seat, run, fence, &Delivery::Dead { reason }).await;
            }
        };
        // The right to deliver must outlast the delivery: recipients may be tried one by one.
        let tries = u32::try_from(message.to.len()).unwrap_or(u32::MAX).saturating_add(1);
        let longest = self.mail.timeout.saturating_mul(tries).saturating_add(DELIVERY_MARGIN);
        let job = JobRef::control(ControlJob::Notify(run), fence);
        match self.store.extend(seat, &job, longest).await {
            Ok(Extended::Extended) => {}
            Ok(Extended::Lost) => return Ok(()),
            Err(error) => return Err(later(error.to_string())),
        }
        let delivery = match self.mailer.send(&message).await {
            Ok(Sent::Disabled) => Delivery::Off,
            Ok(sent) => {
                self.say(run, &sent);
                Delivery::Sent
            }
            Err(error) if error.is_permanent() => Delivery::Dead {
                reason: error.to_string(),
            },
            Err(error) if attempt >= self.mail.max_attempts => Delivery::Dead {
                reason: format!("given up after {attempt} deliveries: {error}"),
            },
            Err(error) => Delivery::Again {
                delay: self.delay(attempt),
                reason: error.to_string(),
            },
        };
        match &delivery {
            Delivery::Sent => {}
            Delivery::Off => info!(run.id = %run, "mail is not configured on this worker; nobody is told"),
            Delivery::Again { reason, delay } => {
                warn!(run.id = %run, reason, retry_in_ms = delay.as_millis(), "mail could not be delivered; trying again");
            }
            Delivery::Dead { reason } => error!(run.id = %run, reason, "mail is given up; see `testfleet queue show`"),
        }
        self.settle(seat, run, fence, &delivery).await
    }

    fn say(&self, run: RunId, sent: &Sent) {
        match sent {
            Sent::Sent { refused, .. } => {
                info!(run.id = %run, "mail is on its way");
                for refusal in refused {
                    warn!(run.id = %run, address = %refusal.address, reason = %refusal.reason, "a recipient was refused");
                }
            }
            Sent::Written { path } => info!(run.id = %run, path = %path.display(), "mail is written"),
            Sent::Disabled => {}
        }
    }

    fn delay(&self, attempt: u32) -> Duration {
        backoff(self.mail.backoff_initial, self.mail.backoff_max, attempt, jitter())
    }

    async fn settle(&self, seat: &Seat, run: RunId, fence: u64, delivery: &Delivery) -> Result<(), ControlFailure> {
        let mut backoff = Backoff::default();
        // Repeated until it is answered: giving the job back instead would send a mail again that has gone out.
        while let Err(error) = self.store.settle_notification(seat, run, fence, delivery).await {
            let delay = backoff.after(&error);
            // The loops say that the store does not answer; this says once which mail waits for it.
            if backoff.failures() == 1 {
                warn!(run.id = %run, %error, "could not record what became of a mail; trying until it is");
            }
            tokio::time::sleep(delay).await;
        }
        Ok(())
    }

    /// The message of a run; `None` when its record or summary is gone.
    async fn compose(&self, run: RunId) -> Result<Option<Message>, Uncomposed> {
        let Some(record) = self.store.outbox(run).await.map_err(Uncomposed::Store)? else {
            return Ok(None);
        };
        let Some(summary) = self.store.summary(run).await.map_err(Uncomposed::Store)? else {
            return Ok(None);
        };
        let letter = Letter::read(&record, &summary).map_err(Uncomposed::Unreadable)?;
        let worst = self.worst(run, letter.summary()).await.map_err(Uncomposed::Store)?;
        Ok(Some(letter.message(run, &worst, self.mail.base_url.as_deref())))
    }

    /// The first results that did not pass.
    async fn worst(&self, run: RunId, summary: &Summary) -> Result<Vec<TestResult>, StoreError> {
        let mut worst = Vec::new();
        let mut first = 0;
        while first < summary.total_tests && worst.len() < WORST && summary.tests_passed < summary.total_tests {
            for bytes in self.store.results(run, first, PAGE).await?.into_iter().flatten() {
                match serde_json::from_slice::<TestResult>(&bytes) {
                    Ok(result) if result.status != Status::Pass && worst.len() < WORST => worst.push(result),
                    Ok(_) | Err(_) => {}
                }
            }
            first += PAGE;
        }
        Ok(worst)
    }
}

impl Control for Courier {
    async fn work(&self, seat: Seat, job: ClaimedControl) -> Result<(), ControlFailure> {
        match job.job {
            ControlJob::Collect(run) => self.collect(&seat, run, job.fence, job.attempt).await,
            ControlJob::Notify(run) => self.notify(&seat, run, job.fence, job.attempt).await,
        }
    }
}
