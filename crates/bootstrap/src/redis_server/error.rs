//! Why a private server could not be started or stopped.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::INSTALL_HELP;

/// Why a private server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No server program on this machine; the message says how to get one.
    #[error("no valkey-server or redis-server was found on PATH\n{INSTALL_HELP}")]
    NotFound,
    /// The data or socket directory cannot be made or written.
    #[error("directory {} cannot be used: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another program runs its server on this directory.
    #[error(
        "data directory {} is in use by another running program; wait for it, or choose another directory",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A server whose owner died still runs on this directory and does not stop.
    #[error(
        "a server left over by a killed program still uses {} and does not stop; end it with `redis-cli -s {} shutdown`",
        path.display(), socket.display()
    )]
    Leftover {
        /// The data directory.
        path: PathBuf,
        /// The socket it listens on.
        socket: PathBuf,
    },
    /// The program could not be run.
    #[error("{} did not run: {source}", program.display())]
    Spawn {
        /// The server program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server ended before it answered.
    #[error("{} ended at once ({status}); the end of its log:\n{log}", program.display())]
    Exited {
        /// The server program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        log: String,
    },
    /// The server runs but did not answer in time; it was killed.
    #[error("{} did not answer within {within:?}; the end of its log:\n{log}", program.display())]
    NotReady {
        /// The server program.
        program: PathBuf,
        /// The time it was given.
        within: Duration,
        /// Its last lines.
        log: String,
    },
}

/// Why a private server could not be stopped in an orderly way. It is dead all the same.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// It had ended before.
    #[error("the private server had already ended ({status})")]
    EndedBefore {
        /// How it ended.
        status: ExitStatus,
    },
    /// It did not end in time and was killed: with an append-only file the last second of writes may be lost.
    #[error("the private server did not stop within {within:?} and was killed")]
    Killed {
        /// The time it was given.
        within: Duration,
    },
}
