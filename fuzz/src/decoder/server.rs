//! A server on this machine whose every answer is what a decoder was given, and calls of it.
//!
//! What reads the answers of endpoints, judges and token servers is reached as programs reach it, over a connection: the
//! bytes go through the same HTTP and WebSocket libraries.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Ends a connection whose other side says nothing any more.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest request that is read.
const LONGEST: usize = 1024 * 1024;

/// What is answered to a request, from its whole text.
type Answer = Box<dyn Fn(&str) -> Vec<u8> + Send>;

/// A running server, and a runtime to call it with.
pub(super) struct Server {
    /// `127.0.0.1:PORT`.
    pub(super) address: String,
    answer: Arc<Mutex<Answer>>,
    runtime: Runtime,
}

impl Server {
    /// Starts one. It goes on as long as the process.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = listener.local_addr().expect("its number").to_string();
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(|_| Vec::new())));
        let answers = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = Arc::clone(&answers);
                // The caller may be gone.
                std::thread::spawn(move || serve(stream, &answers).unwrap_or_default());
            }
        });
        let runtime = Builder::new_current_thread().enable_all().build();
        Self {
            address,
            answer,
            runtime: runtime.expect("a runtime"),
        }
    }

    /// Answers like that from now on.
    pub(super) fn answer_with(&self, answer: impl Fn(&str) -> Vec<u8> + Send + 'static) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(answer);
    }

    /// Waits for calls.
    pub(super) fn wait<T>(&self, calls: impl Future<Output = T>) -> T {
        self.runtime.block_on(calls)
    }
}

fn serve(mut stream: TcpStream, answer: &Mutex<Answer>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let request = read(&mut stream)?;
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner)(&request);
    stream.write_all(&answer)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // What was sent and not read would reset the connection before the answer has arrived.
    std::io::copy(&mut stream, &mut std::io::sink())?;
    Ok(())
}

/// One request, head and body.
fn read(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 || bytes.len() > LONGEST {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}

/// A response with this body, behind which the connection is closed.
pub(super) fn response(status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Any\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
