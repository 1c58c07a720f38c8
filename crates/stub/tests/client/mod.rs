//! A client that hides nothing: one connection per call, and the bytes as they came.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use testfleet_stub::StubHandle;

/// Longer than anything here takes; only a defect reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, or what there was of it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `None` when the connection ended before a status line.
    pub(crate) status: Option<u16>,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn of(raw: &[u8]) -> Self {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = end.map_or((raw, [].as_slice()), |end| (&raw[..end], &raw[end + 4..]));
        let head = String::from_utf8_lossy(head).into_owned();
        let mut answer = Self {
            status: head.get(9..12).and_then(|status| status.parse().ok()),
            head,
            body: body.to_vec(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = join_chunks(body);
        }
        answer
    }
}

fn join_chunks(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&raw[..end])
            .ok()
            .and_then(|size| usize::from_str_radix(size, 16).ok())
            .unwrap_or(0);
        let data = &raw[end + 2..];
        body.extend_from_slice(&data[..size.min(data.len())]);
        if size == 0 || data.len() < size + 2 {
            break;
        }
        raw = &data[size + 2..];
    }
    body
}

/// Sends a request and leaves the answer to be read.
pub(crate) fn send(stub: &StubHandle, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(stub.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: stub\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Sends a request and reads until the connection ends.
pub(crate) fn call(stub: &StubHandle, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    read(send(stub, method, path, headers, body))
}

/// Reads until the connection ends, however it ends.
pub(crate) fn read(mut stream: TcpStream) -> Answer {
    let mut raw = Vec::new();
    if let Err(error) = stream.read_to_end(&mut raw) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    Answer::of(&raw)
}

/// Asks a question that is in the knowledge.
#[allow(dead_code, reason = "not every test program calls this way")]
pub(crate) fn ask(stub: &StubHandle, headers: &[(&str, &str)]) -> Answer {
    call(stub, "POST", "/chat", headers, r#"{"message":"Hello"}"#)
}

/// The headers by which testfleet names a call.
#[allow(dead_code, reason = "not every test program calls this way")]
pub(crate) fn named<'a>(run: &'a str, test: &'a str, attempt: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("X-Testfleet-Run", run),
        ("X-Testfleet-Test", test),
        ("X-Testfleet-Attempt", attempt),
    ]
}
