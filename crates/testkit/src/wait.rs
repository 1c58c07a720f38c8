//! Waiting for an event that another task or process brings about.

use std::time::Duration;

use tokio::time::Instant;

/// How long [`wait_for`] waits before it gives up: far more than a loaded machine needs, since a bound that is hit is
/// reported as a failure of the code under test.
pub const WAIT_BOUND: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Polls `condition` until it answers `Some` and returns that. Panics with `what` after [`WAIT_BOUND`].
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut looks = 0;
/// let answer = testfleet_testkit::wait_for("the third look", async || {
///     looks += 1;
///     (looks == 3).then_some("seen")
/// })
/// .await;
/// assert_eq!(answer, "seen");
/// # });
/// ```
pub async fn wait_for<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    wait_at_most(WAIT_BOUND, what, condition).await
}

async fn wait_at_most<T>(bound: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut looks = 0_u32;
    loop {
        looks += 1;
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            start.elapsed() < bound,
            "waited {bound:?} for {what}, which did not happen ({looks} looks)"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_event_of_another_task_is_seen() {
        let (send, receive) = tokio::sync::watch::channel(0);
        let task = tokio::spawn(async move { send.send(7) });
        let seen = wait_for("the other task", async || {
            Some(*receive.borrow()).filter(|value| *value == 7)
        })
        .await;
        assert_eq!(seen, 7);
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    #[should_panic(expected = "for a train that is not coming, which did not happen")]
    async fn what_does_not_happen_is_named() {
        wait_at_most::<()>(Duration::ZERO, "a train that is not coming", async || None).await;
    }
}
