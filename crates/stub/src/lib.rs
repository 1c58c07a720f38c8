//! A configurable endpoint that stands in for the thing under test: in the demo, in tests and in benchmarks.
//!
//! It answers questions from a [`Knowledge`] file over `POST /chat` and `POST /v1/chat/completions`, holds conversations
//! over `POST /conversation`, keeps tickets over `POST /tickets` for tests that build on each other, judges and embeds over `/judge/v1` as a
//! model would, and echoes requests over `/echo`. Its
//! [`Behaviour`] makes it slow, limited or broken, at the start or at run time. Every call is written down
//! ([`Call`]), so that tests compare what testfleet says with what really arrived; [`Traffic`] counts over the log.
//!
//! ```
//! use testfleet_stub::{Stub, StubSettings};
//!
//! let stub = Stub::start(StubSettings::default())?;
//! assert!(stub.url().starts_with("http://127.0.0.1:"));
//! assert!(stub.calls().is_empty());
//! stub.stop();
//! # Ok::<(), testfleet_stub::StubError>(())
//! ```
//!
//! Over TLS and HTTP/2 it speaks on request ([`Secure`]), with certificates of its own, and on request it does what no server
//! should ([`Hostile`]). `/ws` is a WebSocket, `/oauth/token` gives access tokens.
//!
//! What it does not do: it keeps nothing over a restart, and never protects `/_stub/…`, so it
//! belongs on a loopback address or in a private network.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admission;
mod answers;
mod behaviour;
mod call;
mod call_log;
mod certificate;
mod conversation;
mod draw;
mod fault;
mod first_call;
mod hostile;
mod judging;
mod knowledge;
mod limit;
mod observation;
mod program;
mod refusal;
mod routes;
mod secure;
mod server;
mod settings;
mod state;
mod stats;
mod ticket;
mod traffic;

pub use answers::Answers;
pub use behaviour::{Behaviour, BehaviourError, EveryNth, FailFirst, Fault, FaultKind, Latency, ShareOfErrors};
pub use call::{Call, Ending, Identity};
pub use certificate::TlsError;
pub use hostile::Hostile;
pub use knowledge::{Entry, Knowledge, KnowledgeError};
pub use limit::{Rate, RetryAfterForm, StubLimits};
pub use program::program;
pub use server::{Secure, Stub, StubError, StubHandle};
pub use settings::StubSettings;
pub use stats::{Repeat, Stats};
pub use traffic::Traffic;
