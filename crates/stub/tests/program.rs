//! The stub as a program.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testfleet-stub"));
    command
        .env_remove("STUB_TOKEN")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn it_prints_one_line_and_ends_well_when_told_to() {
    let mut child = program().args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: stub\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn what_it_cannot_use_is_said_on_standard_error() {
    for (options, said) in [
        (["--error-share", "1.5"], "errors.share: must be from 0 to 1, found 1.5"),
        (["--latency", "50"], "expected a duration with a unit"),
        (
            ["--knowledge", "/nowhere.json"],
            "could not read the knowledge file /nowhere.json",
        ),
    ] {
        let output = program()
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(said), "{error}");
        assert!(output.stdout.is_empty());
    }
}
