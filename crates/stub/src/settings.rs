//! What a stub is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::behaviour::Behaviour;
use crate::knowledge::Knowledge;

/// What a stub is started with. The default is a free loopback port, the compiled-in knowledge, no token and
/// no faults.
#[derive(Clone, Debug)]
pub struct StubSettings {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// What it knows.
    pub knowledge: Knowledge,
    /// How it behaves until [`set_behaviour`](crate::StubHandle::set_behaviour) or `PUT /_stub/behaviour`.
    pub behaviour: Behaviour,
    /// The bearer token that calls must bring; `None`: none is asked for. `/health` and `/_stub/…` never ask.
    pub token: Option<String>,
    /// A file that gets one JSON line for every call that ended; appended to.
    pub log: Option<PathBuf>,
    /// Threads that serve; 1 serves everything from one thread. At least 1.
    pub threads: usize,
    /// Whether it speaks TLS, too, on ports of their own; see [`Secure`](crate::Secure).
    pub tls: bool,
    /// Whether it does what no server should, on a port of its own; see [`Hostile`](crate::Hostile).
    pub hostile: bool,
    /// Calls kept in memory; the oldest go first. At least 1.
    pub call_limit: usize,
}

impl Default for StubSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            knowledge: Knowledge::example(),
            behaviour: Behaviour::default(),
            token: None,
            log: None,
            threads: 1,
            tls: false,
            hostile: false,
            call_limit: 1_000_000,
        }
    }
}
