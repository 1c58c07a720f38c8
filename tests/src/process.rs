//! A program of ours as a process: where it lies, what it logs, how it is stopped.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use testfleet_testkit::wait_for;

/// The path of a program of the workspace, built with the profile of this test.
///
/// Tests lie in `target/<profile>/deps`, programs one directory above. A test of another package gets no variable with
/// the path from cargo, so `make test` builds all programs before it runs tests.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let path = test
        .ancestors()
        .skip(1)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file());
    path.unwrap_or_else(|| panic!("{name} is not built; run `cargo build --workspace --bins` first (`make test` does)"))
}

/// The path of a program as `make build` leaves it, beside the directory of the profile of this test; `None` when it has
/// not been built.
#[must_use]
pub fn optimised(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().expect("the path of this test");
    test.ancestors()
        .skip(1)
        .map(|directory| directory.join("release").join(name))
        .find(|candidate| candidate.is_file())
}

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program with these arguments and variables and nothing else of our environment but `PATH`. What it writes
    /// to standard error goes to `log`.
    #[must_use]
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        variables: &[(String, String)],
        name: &str,
        log: PathBuf,
    ) -> Self {
        let errors = File::create(&log).unwrap_or_else(|error| panic!("create {}: {error}", log.display()));
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            // What runs under another program (`faketime`) is a child of it, and is ended together with it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", program.display()));
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// What the test calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `TERM`, `KILL`, `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args(["-s", signal, &self.pid().to_string()])
            .status()
            .expect("the command kill");
        assert!(status.success(), "kill -s {signal} of {} failed: {status}", self.name);
    }

    /// Ends it and what it has started in its group. A group that is gone already is no error.
    fn kill_group(&self) {
        Command::new("kill")
            .args(["-s", "KILL", "--", &format!("-{}", self.pid())])
            .stderr(Stdio::null())
            .status()
            .expect("the command kill");
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.kill_group();
        self.child.wait().expect("wait for a child");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let Self { name, child, .. } = self;
        wait_for(&format!("the end of {name}"), async || {
            child.try_wait().expect("ask for a child's status")
        })
        .await
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("ask for a child's status").is_none()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map_or_else(
            |error| format!("(no log: {error})"),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended, or been frozen; SIGKILL ends frozen processes too.
        self.kill_group();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            #[expect(
                clippy::print_stderr,
                reason = "shown by the test runner, and only when the test has failed"
            )]
            {
                eprintln!("--- the end of the log of {}:\n{}", self.name, tail.join("\n"));
            }
        }
    }
}
