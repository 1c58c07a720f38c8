//! What the tests of the program share: a command in a clean environment and a directory of its own, and a stub.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use testfleet_stub::{Stub, StubHandle, StubSettings};

/// The token of the stub and of `STUB_TOKEN`.
pub(crate) const TOKEN: &str = "local-demo-token";

/// A directory, and the program run in it.
pub(crate) struct Harness {
    directory: tempfile::TempDir,
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The examples of the repository, for a stub at `url`.
    pub(crate) fn examples(&self, url: &str) {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples");
        for name in ["support-bot.yaml", "support-bot.jsonl", "ticket-flow.yaml"] {
            let text = std::fs::read_to_string(examples.join(name)).unwrap();
            self.write(name, &text.replace("http://127.0.0.1:8765", url));
        }
    }

    /// The program with these arguments; nothing of testfleet's is in its environment but what is given.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testfleet"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("TESTFLEET_") || name.starts_with("STUB_TOKEN") {
                command.env_remove(name);
            }
        }
        command.args(arguments).current_dir(self.directory.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments))
    }

    /// With the value of the secret that the examples ask for.
    pub(crate) fn run_with_token(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        command.env("STUB_TOKEN", TOKEN);
        ran(command)
    }
}

pub(crate) fn ran(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn stub() -> StubHandle {
    Stub::start(StubSettings {
        token: Some(TOKEN.to_owned()),
        ..StubSettings::default()
    })
    .unwrap()
}
