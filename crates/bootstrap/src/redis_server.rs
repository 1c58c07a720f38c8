//! A private Redis or Valkey server: found, started on a Unix socket, and gone when its owner is gone.
//!
//! What holds:
//! * [`PrivateRedis::start`] returns when the server answers commands, or with the end of the server's log.
//! * The server runs in a process group of its own: Ctrl-C in the terminal reaches the program, which can still drain
//!   into the server before it stops it.
//! * It ends with its owner: by [`PrivateRedis::stop`], by drop, and also when the owner is killed, through the
//!   lifeline (`redis_server/lifeline.rs`). Should even that fail, the next start on the same directory ends the leftover first.
//! * Two owners never share a data directory: it is locked while the server runs.
//!
//! Starting blocks the calling thread (about 10 ms for an empty directory, longer when an append-only file is loaded).
//! Unix only.

mod error;
mod find;
mod home;
mod lifeline;
mod process;

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use error::{StartError, StopError};
pub use find::{INSTALL_HELP, find_server, find_server_on};
use home::Home;
use lifeline::Lifeline;
use process::{Answer, ask_ready, send_signal};

/// How long a server may take to end after it was asked to, before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Pauses between two looks at a server that starts or stops: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// How much of the server's log a failure carries.
const LOG_TAIL_LINES: usize = 15;

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// The server program; `None` looks for one ([`find_server`]).
    pub program: Option<PathBuf>,
    /// Where data and log live, created when missing. `None` means a directory of its own that is deleted at the end.
    pub data_directory: Option<PathBuf>,
    /// Whether writes go to an append-only file, flushed every second: what survives a restart.
    pub append_only: bool,
    /// Whether to listen on a free port of 127.0.0.1 as well.
    pub tcp: bool,
    /// Further settings of the server, name and value (`("maxmemory", "10mb")`); they win over the ones set here. Spaces
    /// separate the words of a value.
    pub settings: Vec<(String, String)>,
    /// How long to wait for the first answer; loading a large append-only file is part of it.
    pub ready_within: Duration,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            program: None,
            data_directory: None,
            append_only: false,
            tcp: false,
            settings: Vec::new(),
            ready_within: Duration::from_secs(60),
        }
    }
}

/// A running server that belongs to this value.
#[derive(Debug)]
pub struct PrivateRedis {
    program: PathBuf,
    options: StartOptions,
    home: Home,
    port: Option<u16>,
    running: Option<Running>,
    last_pid: u32,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Held for its drop: as long as it lives, the death of this process ends the server.
    _lifeline: Option<Lifeline>,
}

impl PrivateRedis {
    /// Finds a server if none is named, starts it and waits until it answers.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running.
    pub fn start(options: &StartOptions) -> Result<Self, StartError> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => find_server().ok_or(StartError::NotFound)?,
        };
        let home = Home::prepare(options.data_directory.as_deref())?;
        let mut server = Self {
            program,
            options: options.clone(),
            home,
            port: None,
            running: None,
            last_pid: 0,
        };
        server.launch()?;
        Ok(server)
    }

    /// Where clients connect: `redis+unix:///…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.home.socket().display())
    }

    /// `redis://127.0.0.1:PORT` when started with `tcp`.
    #[must_use]
    pub fn tcp_url(&self) -> Option<String> {
        self.port.map(|port| format!("redis://127.0.0.1:{port}"))
    }

    /// The Unix socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.home.socket()
    }

    /// Where the data and the log are.
    #[must_use]
    pub fn data_directory(&self) -> &Path {
        self.home.data()
    }

    /// The server program in use.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The process id of the server, also after its end.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.last_pid
    }

    /// Whether the process exists; a frozen one does.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.reap_if_ended().is_none() && self.running.is_some()
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(self.home.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Kills the server at once (SIGKILL), as a crash would. Safe to call twice.
    pub fn kill(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // A failed kill or wait means that the process is gone already.
        let _ = running.child.kill();
        let _ = running.child.wait();
    }

    /// Stops the server in order: SIGTERM is a `SHUTDOWN` to it, so the append-only file is flushed to disk.
    ///
    /// # Errors
    /// See [`StopError`]; the server is dead in any case.
    pub fn stop(&mut self) -> Result<(), StopError> {
        if let Some(status) = self.reap_if_ended() {
            return Err(StopError::EndedBefore { status });
        }
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        send_signal(running.child.id(), "TERM");
        // A frozen server would only see the signal when it continues.
        send_signal(running.child.id(), "CONT");
        let child = &mut running.child;
        if poll(STOP_WITHIN, || matches!(child.try_wait(), Ok(Some(_)))) {
            self.running = None;
            return Ok(());
        }
        self.kill();
        Err(StopError::Killed { within: STOP_WITHIN })
    }

    /// Freezes the server (SIGSTOP): connections stay open and nothing is answered.
    pub fn pause(&self) {
        if let Some(running) = &self.running {
            send_signal(running.child.id(), "STOP");
        }
    }

    /// Lets a frozen server continue.
    pub fn resume(&self) {
        if let Some(running) = &self.running {
            send_signal(running.child.id(), "CONT");
        }
    }

    /// Starts the server again at the same address, with the data that its directory holds. A running one is stopped
    /// first.
    ///
    /// # Errors
    /// As [`PrivateRedis::start`].
    pub fn restart(&mut self) -> Result<(), StartError> {
        if let Err(error) = self.stop() {
            tracing::debug!(%error, "restarting a private server that did not stop in order");
        }
        self.launch()
    }

    fn launch(&mut self) -> Result<(), StartError> {
        let mut tries_left = if self.options.tcp && self.port.is_none() { 5 } else { 1 };
        loop {
            tries_left -= 1;
            let chosen_now = self.options.tcp && self.port.is_none();
            if chosen_now {
                self.port = Some(free_port().map_err(|source| self.home.unusable(source))?);
            }
            match self.launch_once() {
                // Somebody else took the port between our look and the server's bind.
                Err(StartError::Exited { log, .. }) if tries_left > 0 && log.contains("in use") => self.port = None,
                other => return other,
            }
        }
    }

    fn launch_once(&mut self) -> Result<(), StartError> {
        self.home.note_socket()?;
        let child = self.command()?.spawn().map_err(|source| StartError::Spawn {
            program: self.program.clone(),
            source,
        })?;
        self.last_pid = child.id();
        let lifeline = Lifeline::attach(child.id(), &self.home);
        self.running = Some(Running {
            child,
            _lifeline: lifeline,
        });
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Result<(), StartError> {
        let within = self.options.ready_within;
        let socket = self.home.socket().to_owned();
        let mut ended = None;
        let ready = poll(within, || {
            // The end of the process is looked at first: a socket file without a server refuses for ever.
            ended = self.reap_if_ended();
            ended.is_some() || matches!(ask_ready(&socket, within), Answer::Ready)
        });
        let (program, log) = (self.program.clone(), self.log_tail());
        match ended {
            Some(status) => Err(StartError::Exited { program, status, log }),
            None if ready => Ok(()),
            None => {
                self.kill();
                Err(StartError::NotReady { program, within, log })
            }
        }
    }

    /// Takes note of a server that ended by itself.
    fn reap_if_ended(&mut self) -> Option<ExitStatus> {
        let status = self.running.as_mut()?.child.try_wait().ok().flatten()?;
        self.running = None;
        Some(status)
    }

    fn command(&self) -> Result<Command, StartError> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.home.log())
            .map_err(|source| self.home.unusable(source))?;
        let errors = log.try_clone().map_err(|source| self.home.unusable(source))?;
        let mut command = Command::new(&self.program);
        // Relative to the data directory, so that spaces in its path never meet the server's own parsing.
        command.current_dir(self.home.data()).process_group(0);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        for (name, value) in self.fixed_settings() {
            command.arg(format!("--{name}")).arg(value);
        }
        for (name, value) in &self.options.settings {
            // The server quotes each argument, so several words must be several arguments.
            command.arg(format!("--{name}")).args(value.split(' '));
        }
        Ok(command)
    }

    fn fixed_settings(&self) -> [(&'static str, String); 10] {
        let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        [
            ("port", self.port.unwrap_or(0).to_string()),
            ("bind", "127.0.0.1".to_owned()),
            ("unixsocket", self.home.socket().display().to_string()),
            ("unixsocketperm", "700".to_owned()),
            ("daemonize", yes_or_no(false)),
            ("dir", ".".to_owned()),
            ("save", String::new()),
            ("appendonly", yes_or_no(self.options.append_only)),
            ("appendfsync", "everysec".to_owned()),
            ("maxmemory-policy", "noeviction".to_owned()),
        ]
    }
}

impl Drop for PrivateRedis {
    /// Stops a server whose data is kept; kills one whose data is deleted anyway.
    fn drop(&mut self) {
        if self.home.is_kept() && self.running.is_some() {
            if let Err(error) = self.stop() {
                tracing::warn!(%error, "the private server did not stop in order");
            }
        } else {
            self.kill();
        }
    }
}

/// Looks until `done` says so or the time is over; answers whether it was done.
fn poll(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    let mut pause = FIRST_PAUSE;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests;
