//! The two stages of stopping: drain on the first request, abort on the second.
//!
//! Requests are SIGTERM and SIGINT once [`Shutdown::listen`] was called, and calls of [`Shutdown::request`] at any time, so
//! tests need no signals. A stage is never taken back.

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How far stopping has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nobody asked to stop.
    Running,
    /// Take nothing new, finish or hand back what is held.
    Draining,
    /// Give up what is held and leave.
    Aborting,
}

/// The stop condition of a program. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// Running, and not listening to signals.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes one stage further and answers which is reached. Calls after the second change nothing.
    pub fn request(&self) -> Stage {
        if self.drain.is_cancelled() {
            self.abort.cancel();
        }
        self.drain.cancel();
        self.stage()
    }

    /// The stage reached.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match (self.drain.is_cancelled(), self.abort.is_cancelled()) {
            (_, true) => Stage::Aborting,
            (true, false) => Stage::Draining,
            (false, false) => Stage::Running,
        }
    }

    /// Cancelled from the first request on; for loops and servers that take a token.
    #[must_use]
    pub fn drain_token(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// Cancelled from the second request on.
    #[must_use]
    pub fn abort_token(&self) -> CancellationToken {
        self.abort.clone()
    }

    /// Returns when the first request has come, at once if it has.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Returns when the second request has come.
    pub async fn aborting(&self) {
        self.abort.cancelled().await;
    }

    /// Turns SIGTERM and SIGINT of this process into requests while the answer is held; from then on they no longer end the
    /// process by themselves. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn listen(&self) -> std::io::Result<SignalListener> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        let task = tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    Some(()) = terminate.recv() => "SIGTERM",
                    Some(()) = interrupt.recv() => "SIGINT",
                    else => return,
                };
                let stage = shutdown.request();
                tracing::info!(signal = name, ?stage, "asked to stop");
            }
        });
        Ok(SignalListener { task })
    }
}

/// Listens as long as it lives. Hold it until the program has stopped.
#[derive(Debug)]
#[must_use = "dropping it ends the listening, and signals are then ignored"]
pub struct SignalListener {
    task: JoinHandle<()>,
}

impl Drop for SignalListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn the_first_request_drains_and_the_second_aborts() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.stage(), Stage::Running);
        assert_eq!(shutdown.request(), Stage::Draining);
        shutdown.draining().await;
        assert!(!shutdown.abort_token().is_cancelled());
        assert_eq!(shutdown.clone().request(), Stage::Aborting);
        shutdown.aborting().await;
        assert_eq!(shutdown.request(), Stage::Aborting);
    }

    #[tokio::test]
    async fn signals_are_requests() {
        let shutdown = Shutdown::new();
        let _listener = shutdown.listen().unwrap();
        // Only this process: cargo-nextest runs each test in one of its own, cargo test has no other signal test.
        let send = |name: &str| {
            let script = format!("kill -s {name} {}", std::process::id());
            assert!(
                Command::new("/bin/sh")
                    .args(["-c", &script])
                    .status()
                    .unwrap()
                    .success()
            );
        };
        send("TERM");
        shutdown.draining().await;
        send("INT");
        shutdown.aborting().await;
    }
}
