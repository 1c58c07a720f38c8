//! The watchdog: says which loop is stuck, and what it did last. On a thread of its own, since a loop that blocks the
//! threads of the runtime would keep a task from saying so.
//!
//! Promises: HONEST-HEALTH (`/live` tells the same), PROGRESS-AFTER-HEAL (nothing stands still in silence).
//!
//! It does not: end or restart anything. What ended is noticed where its handle is held (`supervision`).

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::error;

use crate::health::{Health, Stuck};
use crate::part::Part;

/// Between two lines about the same loop.
const REPEAT: Duration = Duration::from_secs(60);
/// Between two looks: often enough to say it soon, and at least often enough for the shortest bound in tests.
const LOOK: Duration = Duration::from_secs(5);

/// Watches until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches the loops of one worker.
    pub(crate) fn watch(worker: String, health: Arc<Health>) -> Self {
        let (alive, ended) = channel::<()>();
        let look = LOOK.min(health.stuck_after());
        // What it says goes where the worker's log goes.
        let log = tracing::dispatcher::get_default(Clone::clone);
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            let mut said = Said::default();
            tracing::dispatcher::with_default(&log, || {
                while ended.recv_timeout(look) == Err(RecvTimeoutError::Timeout) {
                    said.news(health.stuck(), Instant::now())
                        .iter()
                        .for_each(|stuck| say(&worker, stuck));
                }
            });
        });
        let thread = thread
            .inspect_err(|error| error!(%error, "the watchdog could not be started; nobody says when a loop is stuck"))
            .ok();
        Self {
            alive: Some(alive),
            thread,
        }
    }
}

fn say(worker: &str, stuck: &Stuck) {
    error!(
        worker.id = %worker, part = %stuck.part, silent_ms = stuck.silence.as_millis(), last = stuck.doing,
        "a loop of the worker is stuck; restart the worker if it stays so"
    );
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            // It looks at the channel all the time, so this takes no time.
            let _ = thread.join();
        }
    }
}

/// When each stuck loop was spoken of.
#[derive(Debug, Default)]
struct Said(Vec<(Part, Instant)>);

impl Said {
    /// Of what is stuck, what was not said in the last minute.
    fn news(&mut self, stuck: Vec<Stuck>, now: Instant) -> Vec<Stuck> {
        self.0
            .retain(|(part, at)| stuck.iter().any(|one| one.part == *part) && now.duration_since(*at) < REPEAT);
        let news: Vec<Stuck> = stuck
            .into_iter()
            .filter(|one| self.0.iter().all(|(part, _)| *part != one.part))
            .collect();
        self.0.extend(news.iter().map(|one| (one.part, now)));
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stuck(part: Part) -> Stuck {
        Stuck {
            part,
            silence: Duration::from_secs(50),
            doing: "claiming",
        }
    }

    #[test]
    fn a_stuck_loop_is_said_at_once_and_then_once_a_minute() {
        let mut said = Said::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(said.news(vec![stuck(Part::Pump)], at(0)).len(), 1);
        for second in (5..60).step_by(5) {
            assert!(said.news(vec![stuck(Part::Pump)], at(second)).is_empty());
        }
        assert_eq!(said.news(vec![stuck(Part::Pump), stuck(Part::Reaper)], at(60)).len(), 2);
    }

    #[test]
    fn one_that_goes_on_and_is_stuck_again_is_said_again() {
        let mut said = Said::default();
        let now = Instant::now();
        said.news(vec![stuck(Part::Lookout)], now);
        assert!(said.news(vec![], now).is_empty());
        assert_eq!(said.news(vec![stuck(Part::Lookout)], now), [stuck(Part::Lookout)]);
    }
}
