//! Where a private server lives: a short directory for its socket, and the data directory with lock and log.
//!
//! The path of a Unix socket is limited (108 bytes on Linux, 104 on macOS), so the socket never lies in the data
//! directory, which may be deep. Without a data directory everything lies in the one made here, and goes with it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{Answer, ask_ready, ask_shutdown};
use super::{STOP_WITHIN, StartError, poll};

/// The shorter of the two systems' limits, with room for the closing zero.
const LONGEST_SOCKET_PATH: usize = 103;
const SOCKET: &str = "redis.sock";
const LOG: &str = "server.log";
const LOCK: &str = "owner.lock";
/// Holds the path of the socket of the latest server, for the owner after a crash.
const SOCKET_NOTE: &str = "server.socket";

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The directories of one private server, locked while the value lives.
#[derive(Debug)]
pub(super) struct Home {
    own: PathBuf,
    socket: PathBuf,
    data: PathBuf,
    kept: bool,
    /// The lock goes with the handle, also when the process is killed.
    _lock: File,
}

impl Home {
    /// Makes the directories, locks the data and ends a server that a killed owner left on it.
    pub(super) fn prepare(data: Option<&Path>) -> Result<Self, StartError> {
        let own = make_own_directory()?;
        let home = Self::furnish(own.clone(), data);
        if home.is_err() {
            let _ = std::fs::remove_dir_all(own);
        }
        home
    }

    fn furnish(own: PathBuf, data: Option<&Path>) -> Result<Self, StartError> {
        let kept = data.is_some();
        let data = match data {
            Some(path) => keep_directory(path)?,
            None => own.clone(),
        };
        let lock = take_lock(&data)?;
        end_leftover(&data)?;
        Ok(Self {
            socket: own.join(SOCKET),
            own,
            data,
            kept,
            _lock: lock,
        })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data.join(LOG)
    }

    /// The directory made for this server, which is deleted at the end.
    pub(super) fn own_directory(&self) -> &Path {
        &self.own
    }

    /// Whether the data outlives the server.
    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    /// Leaves word where the server of this directory listens.
    pub(super) fn note_socket(&self) -> Result<(), StartError> {
        let text = self.socket.display().to_string();
        std::fs::write(self.data.join(SOCKET_NOTE), text).map_err(|source| self.unusable(source))
    }

    pub(super) fn unusable(&self, source: std::io::Error) -> StartError {
        StartError::Directory {
            path: self.data.clone(),
            source,
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.own) {
            tracing::debug!(directory = %self.own.display(), %error, "a private server's directory stays behind");
        }
    }
}

/// A new directory that only this user can enter, with a path short enough for a socket.
fn make_own_directory() -> Result<PathBuf, StartError> {
    let fallback = PathBuf::from("/tmp");
    let candidates = [
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
        Some(std::env::temp_dir()),
        Some(fallback),
    ];
    let mut last = None;
    for base in candidates.into_iter().flatten().filter(|base| base.is_absolute()) {
        match make_own_directory_in(&base) {
            Ok(path) => return Ok(path),
            Err(source) => last = Some(StartError::Directory { path: base, source }),
        }
    }
    Err(last.unwrap_or(StartError::Directory {
        path: PathBuf::from("/tmp"),
        source: ErrorKind::NotFound.into(),
    }))
}

fn make_own_directory_in(base: &Path) -> std::io::Result<PathBuf> {
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("testfleet-{}-{number}", std::process::id()));
        if path.join(SOCKET).as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(std::io::Error::new(
                ErrorKind::InvalidFilename,
                "the path is too long for a Unix socket",
            ));
        }
        match DirBuilder::new().mode(0o700).create(&path) {
            // Left by an earlier process with the same id.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(path),
        }
    }
}

fn keep_directory(path: &Path) -> Result<PathBuf, StartError> {
    std::fs::create_dir_all(path)
        .and_then(|()| path.canonicalize())
        .map_err(|source| StartError::Directory {
            path: path.to_owned(),
            source,
        })
}

fn take_lock(data: &Path) -> Result<File, StartError> {
    let unusable = |source| StartError::Directory {
        path: data.to_owned(),
        source,
    };
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data.join(LOCK))
        .map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse { path: data.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// We hold the lock, so a server that still answers here has no owner. Two servers on one append-only file would ruin
/// it.
fn end_leftover(data: &Path) -> Result<(), StartError> {
    let Ok(socket) = std::fs::read_to_string(data.join(SOCKET_NOTE)).map(PathBuf::from) else {
        return Ok(());
    };
    let silent = || ask_ready(&socket, STOP_WITHIN) == Answer::Silent;
    if silent() {
        return Ok(());
    }
    tracing::warn!(directory = %data.display(), "ending a private server that a killed program left behind");
    ask_shutdown(&socket, STOP_WITHIN);
    if poll(STOP_WITHIN, silent) {
        return Ok(());
    }
    Err(StartError::Leftover {
        path: data.to_owned(),
        socket,
    })
}
