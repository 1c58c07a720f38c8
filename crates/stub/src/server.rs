//! Starts a stub on threads of its own, and stops it.
//!
//! A stub has its own runtime, so it can be started from anywhere, with or without one, and stopping it ends
//! every call at once, hanging ones included.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::behaviour::{Behaviour, BehaviourError};
use crate::call::Call;
use crate::call_log::{CallLog, Clock};
use crate::limit::StubLimits;
use crate::routes::router;
use crate::settings::StubSettings;
use crate::state::Shared;
use crate::stats::Stats;

/// Connections that may wait to be accepted: a whole fleet that starts at the same moment.
const BACKLOG: u32 = 4096;

/// Why a stub could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StubError {
    /// The address is taken, or not ours.
    #[error("listen on {address}: {source}; try another port, or port 0 for any free one")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What happened.
        source: io::Error,
    },
    /// The log file cannot be opened.
    #[error("open the log file {}: {source}", path.display())]
    Log {
        /// Its path.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The behaviour makes no sense.
    #[error("behave as told: {0}")]
    Behaviour(#[from] BehaviourError),
    /// The system gives us no thread.
    #[error("start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// A stub; see [`start`](Self::start).
#[derive(Debug)]
pub struct Stub;

impl Stub {
    /// Starts a stub and returns when it listens.
    ///
    /// # Errors
    /// When it cannot listen, open its log file or start its threads, or when its behaviour makes no sense.
    pub fn start(settings: StubSettings) -> Result<StubHandle, StubError> {
        settings.behaviour.check()?;
        let file = settings.log.map(open_log).transpose()?;
        let clock = Clock::starting(Instant::now(), chrono::Utc::now());
        let calls = CallLog::new(clock, settings.call_limit, file);
        let shared = Arc::new(Shared::new(
            clock,
            calls,
            settings.knowledge,
            settings.token,
            settings.behaviour,
        ));
        let (listening, listens) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("stub".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || serve(settings.listen, settings.threads, shared, &listening, stopped)
        });
        let thread = thread.map_err(StubError::Thread)?;
        let address = match listens.recv() {
            Ok(address) => address?,
            Err(_) => return Err(StubError::Thread(io::Error::other("it ended before it listened"))),
        };
        Ok(StubHandle {
            url: format!("http://{address}"),
            address,
            shared,
            running: Some((stop, thread)),
        })
    }
}

fn open_log(path: PathBuf) -> Result<File, StubError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|source| StubError::Log { path, source })
}

/// Serves until told to stop, or until the handle is gone.
fn serve(
    address: SocketAddr,
    threads: usize,
    shared: Arc<Shared>,
    listening: &mpsc::Sender<Result<SocketAddr, StubError>>,
    stopped: oneshot::Receiver<()>,
) {
    let bound = build_runtime(threads)
        .map_err(StubError::Thread)
        .and_then(|runtime| Ok((listen(&runtime, address)?, runtime)));
    let ((listener, address), runtime) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            // Nobody is there to hear it only when the starter itself was unwound.
            let _ = listening.send(Err(error));
            return;
        }
    };
    let _ = listening.send(Ok(address));
    runtime.block_on(async move {
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "could not switch Nagle's algorithm off");
            }
        });
        let serving = axum::serve(listener, router(shared));
        tokio::select! {
            result = serving => {
                if let Err(error) = result {
                    tracing::error!(%error, "the stub no longer accepts connections");
                }
            }
            _ = stopped => {}
        }
    });
    // Dropping the runtime drops every connection, and with it every call that still hangs.
}

fn build_runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.thread_name("stub").enable_all().build()
}

fn listen(runtime: &Runtime, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StubError> {
    let _context = runtime.enter();
    let bound = || -> io::Result<(TcpListener, SocketAddr)> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound().map_err(|source| StubError::Listen { address, source })
}

/// A running stub. Dropping it stops it.
#[derive(Debug)]
pub struct StubHandle {
    url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl StubHandle {
    /// Its URL, without a slash at the end: `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All calls that are still kept, oldest first, those in flight included.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.calls(|_| true)
    }

    /// What the calls add up to.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.calls.stats()
    }

    /// Forgets all calls.
    pub fn clear_calls(&self) {
        self.shared.calls.clear();
    }

    /// Blocks this thread until the calls are as wanted; looks again at every beginning and end of a call.
    /// `false` when they were not within the timeout. Within a runtime, call it from `spawn_blocking`.
    #[must_use]
    pub fn wait_for_calls(&self, timeout: Duration, wanted: impl Fn(&VecDeque<Call>) -> bool) -> bool {
        self.shared.calls.wait(timeout, wanted)
    }

    /// How it behaves now.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        Behaviour::clone(&self.shared.behaviour())
    }

    /// Replaces the behaviour, for calls that begin from now on, and starts its counters afresh.
    ///
    /// # Errors
    /// When it makes no sense; the old one stays.
    pub fn set_behaviour(&self, behaviour: Behaviour) -> Result<(), BehaviourError> {
        self.shared.set_behaviour(behaviour)
    }

    /// Replaces what it can take, for calls that begin from now on, and nothing else: counters go on.
    ///
    /// # Errors
    /// When it makes no sense; the old limits stay.
    pub fn set_limits(&self, limits: StubLimits) -> Result<(), BehaviourError> {
        self.shared.set_limits(limits)
    }

    /// Stops it. When this returns the port is free, all connections are closed, and every call has ended;
    /// [calls](Self::calls) in flight were abandoned.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("the thread of the stub panicked");
            }
        }
    }
}

impl Drop for StubHandle {
    fn drop(&mut self) {
        self.end();
    }
}
