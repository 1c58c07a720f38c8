//! Starts a stub on threads of its own, and stops it.
//!
//! A stub has its own runtime, so it can be started from anywhere, with or without one, and stopping it ends
//! every call at once, hanging ones included.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::behaviour::{Behaviour, BehaviourError};
use crate::call::Call;
use crate::call_log::{CallLog, Clock};
use crate::certificate::{Authority, Shown, TlsError};
use crate::hostile::{self, Hits};
use crate::limit::StubLimits;
use crate::routes::router;
use crate::secure;
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
    /// There are no certificates.
    #[error("speak TLS: {0}")]
    Tls(#[from] TlsError),
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
        let hits = Arc::new(Hits::default());
        let extra = Extra {
            tls: settings.tls.then(Certificates::make).transpose()?,
            hostile: settings.hostile.then(|| Arc::clone(&hits)),
        };
        let authority = extra.tls.as_ref().map(|tls| tls.authority.clone());
        let (listening, listens) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("stub".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || serve(settings.listen, settings.threads, shared, extra, &listening, stopped)
        });
        let thread = thread.map_err(StubError::Thread)?;
        let Addresses {
            plain: address,
            tls,
            hostile,
        } = match listens.recv() {
            Ok(addresses) => addresses?,
            Err(_) => return Err(StubError::Thread(io::Error::other("it ended before it listened"))),
        };
        Ok(StubHandle {
            url: format!("http://{address}"),
            address,
            secure: authority
                .zip(tls)
                .map(|(authority, ports)| Secure::new(authority, ports)),
            hostile: hostile.map(|address| format!("http://{address}")),
            hits,
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

/// What a stub serves beside its routes over plain HTTP.
struct Extra {
    tls: Option<Certificates>,
    hostile: Option<Arc<Hits>>,
}

/// How TLS is spoken on each of its ports.
struct Certificates {
    authority: String,
    /// In the order of [`SHOWN`].
    servers: Vec<Arc<ServerConfig>>,
}

const SHOWN: [Shown; 4] = [Shown::Right, Shown::Expired, Shown::WrongHost, Shown::SelfSigned];

impl Certificates {
    fn make() -> Result<Self, TlsError> {
        let authority = Authority::make()?;
        let servers = SHOWN
            .iter()
            .map(|shown| authority.server(*shown, &[b"h2", b"http/1.1"]));
        Ok(Self {
            servers: servers.collect::<Result<_, _>>()?,
            authority: authority.pem(),
        })
    }
}

/// Where a stub listens.
struct Addresses {
    plain: SocketAddr,
    /// In the order of [`SHOWN`].
    tls: Option<Vec<SocketAddr>>,
    hostile: Option<SocketAddr>,
}

/// Serves until told to stop, or until the handle is gone.
fn serve(
    address: SocketAddr,
    threads: usize,
    shared: Arc<Shared>,
    extra: Extra,
    listening: &mpsc::Sender<Result<Addresses, StubError>>,
    stopped: oneshot::Receiver<()>,
) {
    // Ports beside the first are any free ones.
    let beside = SocketAddr::new(address.ip(), 0);
    let bound = build_runtime(threads).map_err(StubError::Thread).and_then(|runtime| {
        let plain = listen(&runtime, address)?;
        let tls = extra.tls.iter().flat_map(|tls| &tls.servers);
        let tls = tls.map(|_| listen(&runtime, beside)).collect::<Result<Vec<_>, _>>()?;
        let hostile = extra.hostile.is_some().then(|| listen(&runtime, beside)).transpose()?;
        Ok((plain, tls, hostile, runtime))
    });
    let ((listener, address), tls, hostile, runtime) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            // Nobody is there to hear it only when the starter itself was unwound.
            let _ = listening.send(Err(error));
            return;
        }
    };
    let addresses = tls.iter().map(|(_, address)| *address).collect();
    let _ = listening.send(Ok(Addresses {
        plain: address,
        tls: extra.tls.is_some().then_some(addresses),
        hostile: hostile.as_ref().map(|(_, address)| *address),
    }));
    runtime.block_on(async move {
        let configs = extra.tls.into_iter().flat_map(|tls| tls.servers);
        for ((listener, _), config) in tls.into_iter().zip(configs) {
            tokio::spawn(secure::serve(listener, config, router(Arc::clone(&shared))));
        }
        if let Some(((listener, _), hits)) = hostile.zip(extra.hostile) {
            tokio::spawn(hostile::serve(listener, hits));
        }
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "could not switch Nagle's algorithm off");
            }
        });
        let routes = router(shared).into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, routes);
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

/// Where a stub speaks TLS, and what callers have to trust for it. All URLs are those of `localhost`.
#[derive(Clone, Debug)]
pub struct Secure {
    /// The routes, by HTTP/1.1 or HTTP/2: `https://localhost:40124`.
    pub url: String,
    /// The same with a certificate that has expired.
    pub expired_url: String,
    /// The same with the certificate of another host.
    pub wrong_host_url: String,
    /// The same with a certificate that the authority does not know.
    pub self_signed_url: String,
    /// The certificate of the authority, as PEM.
    pub authority: String,
}

impl Secure {
    fn new(authority: String, addresses: Vec<SocketAddr>) -> Self {
        let mut urls = addresses
            .into_iter()
            .map(|address| format!("https://localhost:{}", address.port()));
        let mut next = || urls.next().unwrap_or_default();
        Self {
            url: next(),
            expired_url: next(),
            wrong_host_url: next(),
            self_signed_url: next(),
            authority,
        }
    }
}

/// A running stub. Dropping it stops it.
#[derive(Debug)]
pub struct StubHandle {
    url: String,
    address: SocketAddr,
    secure: Option<Secure>,
    hostile: Option<String>,
    hits: Arc<Hits>,
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

    /// Where it speaks TLS; `None` when it does not.
    #[must_use]
    pub fn secure(&self) -> Option<&Secure> {
        self.secure.as_ref()
    }

    /// The URL below which it is [hostile](crate::Hostile), without a slash at the end; `None` when it is not.
    #[must_use]
    pub fn hostile_url(&self) -> Option<&str> {
        self.hostile.as_deref()
    }

    /// How often each path was asked for where it is hostile.
    #[must_use]
    pub fn hostile_hits(&self) -> BTreeMap<String, u64> {
        self.hits.all()
    }

    /// Connections that are open where it is hostile.
    #[must_use]
    pub fn hostile_connections(&self) -> usize {
        self.hits.connections()
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

    /// How many conversations it remembers.
    #[must_use]
    pub fn conversations(&self) -> usize {
        self.shared.conversations.count()
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
