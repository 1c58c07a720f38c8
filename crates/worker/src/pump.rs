//! The pump: claims jobs, runs them, completes them. One call of the store at a time, which carries everything that
//! finished since the last one and asks for as much as there is room for; so batches grow with the load by themselves.

mod ending;
mod seating;
mod settling;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use testfleet_model::RunId;
use testfleet_store::{JobRef, Seat, Store, Want};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::attempt::{Execute, Outcome};
use crate::control::{Control, ControlFailure};
use crate::holding::{Holdings, Stopped};
use crate::lookout::Lookout;
use crate::part::Part;
use crate::worker::Identity;
use ending::Finished;

/// How often a worker asks although nobody rang, and how often the pump shows a sign.
const POLL: Duration = Duration::from_secs(2);
/// How often an idle worker asks that would hear the bell: for the case that nobody thought of.
pub(crate) const RELAXED_POLL: Duration = Duration::from_secs(120);
/// Of the grace period, what is kept for handing back.
const HAND_BACK_SHARE: f64 = 0.2;

pub(crate) struct Pump<E, C> {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) executor: Arc<E>,
    pub(crate) control: Arc<C>,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) idle: watch::Sender<bool>,
    pub(crate) lookout: Arc<Lookout>,
    pub(crate) drain: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) seat: Seat,
    pub(crate) tests: JoinSet<Outcome>,
    pub(crate) controls: JoinSet<Result<(), ControlFailure>>,
    /// Tests that are done but whose results the store has not acknowledged: still ours when it asks what we hold.
    pub(crate) unsettled: Vec<JobRef>,
    /// Runs of another version that were spoken of.
    pub(crate) foreign: HashSet<RunId>,
}

/// How a pump ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Jobs handed back because they were not done in time.
    pub(crate) handed_back: usize,
}

/// When the store was asked last, and when it said that something will be there.
struct Asked {
    at: Instant,
    due: Option<Duration>,
}

impl<E: Execute, C: Control> Pump<E, C> {
    /// Runs until it is told to stop and everything is finished or handed back.
    pub(crate) async fn run(mut self) -> Drained {
        let mut asked = Asked {
            at: Instant::now(),
            due: Some(Duration::ZERO),
        };
        while !self.drain.is_cancelled() && !self.abort.is_cancelled() {
            self.identity.round(Part::Pump, "waiting for work").await;
            let room = self.room();
            let has_room = room.tests > 0 || room.control > 0;
            let mut finished = Finished::default();
            let mut ask = false;
            let next_ask = self.next_ask(&asked);
            tokio::select! {
                biased;
                () = self.drain.cancelled() => break,
                () = self.abort.cancelled() => break,
                Some(ended) = self.tests.join_next_with_id() => self.gather(ended, &mut finished).await,
                Some(ended) = self.controls.join_next_with_id() => {
                    self.end_control(ended, &mut finished);
                    // Its place is free, and nobody rings for one that was left behind.
                    ask = true;
                }
                () = self.lookout.rung(), if has_room => ask = true,
                () = tokio::time::sleep_until(next_ask), if has_room => ask = true,
                // A pump that has nothing to ask is alive all the same, and may have to ask more often by now.
                () = tokio::time::sleep(POLL) => {}
            }
            if finished.is_empty() && !ask {
                continue;
            }
            self.identity.health.mark(Part::Pump, "storing results and claiming");
            let due = self.turn(finished, true).await;
            asked = Asked {
                at: Instant::now(),
                due,
            };
        }
        self.idle.send_replace(false);
        self.finish().await
    }

    /// Polling is what is true, the bell a hint; only a worker that holds nothing and would hear it relies on it.
    fn next_ask(&self, asked: &Asked) -> Instant {
        let relies = self.tests.is_empty() && self.controls.is_empty() && self.lookout.hears();
        let most = if relies { RELAXED_POLL } else { POLL };
        asked.at + asked.due.map_or(most, |due| due.min(most))
    }

    fn room(&self) -> Want {
        Want {
            tests: self.identity.options.concurrency.saturating_sub(self.tests.len()),
            control: self
                .identity
                .options
                .control_concurrency
                // The last place is for collections alone; see the claim script.
                .saturating_add(1)
                .saturating_sub(self.controls.len()),
        }
    }

    /// No claim from here on: finish, or hand back what is not done in time.
    async fn finish(mut self) -> Drained {
        let deadline = Instant::now() + self.identity.options.stop_grace.mul_f64(1.0 - HAND_BACK_SHARE);
        let mut handed_back = 0;
        while !self.tests.is_empty() || !self.controls.is_empty() {
            self.identity.health.mark(Part::Pump, "finishing what runs");
            let mut finished = Finished::default();
            tokio::select! {
                biased;
                () = self.abort.cancelled() => break,
                Some(ended) = self.tests.join_next_with_id() => self.gather(ended, &mut finished).await,
                Some(ended) = self.controls.join_next_with_id() => self.end_control(ended, &mut finished),
                () = tokio::time::sleep_until(deadline), if handed_back == 0 => {
                    handed_back = self.holdings.stop(Stopped::LetGo, |_| true);
                    info!(jobs = handed_back, "the grace period is over; handing back what is not done");
                    if handed_back == 0 {
                        break;
                    }
                }
                () = tokio::time::sleep(POLL) => {}
            }
            if !finished.is_empty() {
                self.turn(finished, false).await;
            }
        }
        Drained { handed_back }
    }
}
