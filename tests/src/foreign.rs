//! Servers that nobody here wrote, as endpoints.
//!
//! Where one is not installed, a line says so and its tests are left out; with `FOREIGN_SERVERS=required` in the environment, as
//! in CI, they fail.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testfleet_testkit::wait_for;

use crate::process::Process;
use crate::without::missing;

/// The variable that makes a missing server a failure.
const REQUIRED: &str = "FOREIGN_SERVERS";

/// A running server with a directory of its own.
#[derive(Debug)]
pub struct Foreign {
    addresses: Vec<SocketAddr>,
    directory: TempDir,
    _process: Process,
}

impl Foreign {
    /// The n-th address that it listens on.
    #[must_use]
    pub fn address(&self, at: usize) -> SocketAddr {
        self.addresses[at]
    }

    /// What stands in a file of its directory.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).expect("a file of the server")
    }

    /// nginx with a configuration that is made for a directory and free ports; `files` are put into the directory before.
    /// `None`, with a line that says so, where it is not installed.
    pub async fn nginx(
        ports: usize,
        files: &[(&str, &str)],
        configuration: impl Fn(&Path, &[SocketAddr]) -> String,
    ) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
        let program = program
            .into_iter()
            .find(|path| Path::new(path).is_file())
            .unwrap_or("nginx");
        if left_out("call nginx", program, &["-v"]) {
            return None;
        }
        let (directory, addresses) = prepare(ports, files);
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration(directory.path(), &addresses)).expect("write the configuration");
        let errors = directory.path().join("errors");
        let arguments = [
            OsString::from("-e"),
            errors.into(),
            "-p".into(),
            directory.path().into(),
            "-c".into(),
            file.into(),
        ];
        Some(Self::start(Path::new(program), &arguments, "nginx", directory, addresses).await)
    }

    /// httpbin; `None`, with a line that says so, where `scripts/get-httpbin.sh` has not been run.
    pub async fn httpbin() -> Option<Self> {
        let python = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/httpbin/bin/python"));
        let program = python.to_str().expect("a path that is text").to_owned();
        if left_out("call httpbin", &program, &["-c", "import httpbin"]) {
            return None;
        }
        let (directory, addresses) = prepare(1, &[]);
        let port = addresses[0].port().to_string();
        let arguments = ["-m", "httpbin.core", "--host", "127.0.0.1", "--port", &port].map(OsString::from);
        Some(Self::start(&python, &arguments, "httpbin", directory, addresses).await)
    }

    async fn start(
        program: &Path,
        arguments: &[OsString],
        name: &str,
        directory: TempDir,
        addresses: Vec<SocketAddr>,
    ) -> Self {
        let log = directory.path().join("log");
        let mut process = Process::start(program, arguments, &[], name, log);
        for address in &addresses {
            wait_for(&format!("{name} to listen"), async || {
                assert!(process.is_running(), "{name} ended:\n{}", process.log());
                TcpStream::connect(address).ok().map(drop)
            })
            .await;
        }
        Self {
            addresses,
            directory,
            _process: process,
        }
    }
}

fn left_out(what: &str, program: &str, arguments: &[&str]) -> bool {
    let missing = missing(what, program, arguments);
    let required = std::env::var(REQUIRED).is_ok_and(|value| value == "required");
    assert!(
        !missing || !required,
        "this machine cannot {what}, and {REQUIRED} says that it has to"
    );
    missing
}

/// A directory with files in it, and ports that were free a moment ago.
fn prepare(ports: usize, files: &[(&str, &str)]) -> (TempDir, Vec<SocketAddr>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).expect("write a file");
    }
    let listeners: Vec<_> = (0..ports)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let addresses = listeners
        .iter()
        .map(|listener| listener.local_addr().expect("its address"));
    (directory, addresses.collect())
}
