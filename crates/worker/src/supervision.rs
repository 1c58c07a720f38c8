//! What happens when a loop ends that should not: it is said at once, and the loop is started again where that is safe.
//!
//! Safe are the loops that keep nothing between two rounds: reaper, sweeper and lookout. Without the heartbeat the worker
//! loses what it holds, and without the pump it claims nothing; both keep what only they know, so when one of them
//! ends the worker ends too, with that line, and what it held is taken back when its lease is over. That counts as a
//! lost worker, so a test that brings pumps down is given up after its attempts (ATTEMPTS-BOUNDED).
//!
//! Promises: PROGRESS-AFTER-HEAL, HONEST-HEALTH: no worker is up and silently does nothing.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use testfleet_model::retry::backoff;
use tracing::error;

use crate::backoff::jitter;
use crate::health::Health;
use crate::part::Part;

/// Before a loop is started again: the first and the longest pause.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A loop that ran this long was well: the next pause is the first one again.
const WELL: Duration = Duration::from_secs(60);

/// Runs a loop for as long as this future is kept: `make` begins it, and again whenever it has ended.
pub(crate) async fn keep<F, L>(part: Part, health: &Health, make: F)
where
    F: FnMut() -> L,
    L: Future<Output = ()>,
{
    keep_with(PAUSE, part, health, make).await;
}

async fn keep_with<F, L>(pauses: (Duration, Duration), part: Part, health: &Health, mut make: F)
where
    F: FnMut() -> L,
    L: Future<Output = ()>,
{
    let mut failures = 0u32;
    loop {
        let begun = Instant::now();
        let ended = AssertUnwindSafe(async { make().await }).catch_unwind().await;
        failures = if begun.elapsed() > WELL {
            1
        } else {
            failures.saturating_add(1)
        };
        let pause = backoff(pauses.0, pauses.1, failures, jitter());
        error!(
            %part, cause = %cause(ended), failures, last = health.doing(part), retry_in_ms = pause.as_millis(),
            "a loop of the worker ended that should not; starting it again"
        );
        // It is missed until it goes on: `/live` must not take a pause for an orderly end.
        health.mark(part, "waiting to be started again");
        tokio::time::sleep(pause).await;
    }
}

/// Why a loop ended, in words.
pub(crate) fn cause(ended: Result<(), Box<dyn Any + Send>>) -> String {
    match ended {
        Ok(()) => "it returned".to_owned(),
        Err(panic) => format!("it panicked: {}", message(panic.as_ref())),
    }
}

/// Why the task of a loop ended, in words.
pub(crate) fn cause_of_end<T>(ended: Result<T, tokio::task::JoinError>) -> String {
    match ended {
        Ok(_) => cause(Ok(())),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => cause(Err(panic)),
            Err(error) => error.to_string(),
        },
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn health() -> Health {
        Health::unwatched(Duration::from_secs(1))
    }

    #[tokio::test]
    async fn a_loop_that_panics_or_returns_is_started_again_however_often() {
        let health = health();
        let begun = Cell::new(0);
        let well = tokio::sync::Notify::new();
        let kept = keep_with((Duration::ZERO, Duration::ZERO), Part::Reaper, &health, || async {
            begun.set(begun.get() + 1);
            match begun.get() {
                30 => {
                    well.notify_one();
                    std::future::pending().await
                }
                odd if odd % 2 == 1 => panic!("on purpose"),
                _ => {}
            }
        });
        tokio::select! {
            () = kept => unreachable!("it is kept for ever"),
            () = well.notified() => {}
        }
        assert_eq!(begun.get(), 30);
    }

    #[tokio::test]
    async fn while_a_loop_waits_to_be_started_again_it_is_missed() {
        let health = health();
        let long = Duration::from_secs(3600);
        let kept = keep_with((long, long), Part::Sweeper, &health, || async {});
        tokio::select! {
            biased;
            () = kept => unreachable!("it is kept for ever"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(health.doing(Part::Sweeper), "waiting to be started again");
    }

    #[tokio::test]
    async fn the_cause_is_the_message_of_the_panic() {
        let formatted = tokio::spawn(async { panic!("no {}", 1) }).await;
        assert_eq!(cause_of_end::<()>(formatted), "it panicked: no 1");
        let plain = tokio::spawn(async { panic!("none") }).await;
        assert_eq!(cause_of_end::<()>(plain), "it panicked: none");
        assert_eq!(cause(Ok(())), "it returned");
    }
}
