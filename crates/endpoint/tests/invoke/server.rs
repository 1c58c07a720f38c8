//! A server whose answers come in pieces, each when the test wants it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// An answer.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Lines of the head, without their ends.
    pub(crate) headers: Vec<String>,
    /// Each is a chunk of its own.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Each piece waits for a permit.
    pub(crate) gate: Option<Arc<Semaphore>>,
    pub(crate) then: Then,
}

/// What comes after the last piece.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Then {
    /// The end of the body.
    #[default]
    End,
    /// Nothing, and the connection stays open.
    Hang,
    /// The connection is closed.
    Cut,
    /// The last piece again and again.
    Repeat,
}

impl Reply {
    /// A stream of server-sent events.
    pub(crate) fn events(text: &str) -> Self {
        Self::of(200, "text/event-stream", text)
    }

    pub(crate) fn of(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            status,
            headers: vec![format!("content-type: {content_type}")],
            pieces: vec![body.as_bytes().to_vec()],
            ..Self::default()
        }
    }

    pub(crate) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}

/// A running server. It answers by the number of the request, from 0, and its text.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn serve(answer: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, answer) = (Arc::clone(&requests), Arc::new(answer));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                connections.spawn(async move {
                    let mut stream = stream;
                    while let Some(request) = read(&mut stream).await {
                        let number = {
                            let mut log = log.lock().unwrap();
                            log.push(request.clone());
                            log.len() - 1
                        };
                        if write(&mut stream, answer(number, &request)).await.is_none() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, requests, task }
    }

    /// The same answer to every request.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::serve(move |_, _| reply.clone()).await
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request, head and body.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        match stream.read(&mut buffer).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

/// Whether the connection can be used again.
async fn write(stream: &mut TcpStream, reply: Reply) -> Option<()> {
    let mut head = format!("HTTP/1.1 {} X\r\ntransfer-encoding: chunked\r\n", reply.status);
    for line in &reply.headers {
        head += line;
        head += "\r\n";
    }
    stream.write_all((head + "\r\n").as_bytes()).await.ok()?;
    for piece in &reply.pieces {
        if let Some(gate) = &reply.gate {
            gate.acquire().await.unwrap().forget();
        }
        chunk(stream, piece).await?;
    }
    match reply.then {
        Then::End => stream.write_all(b"0\r\n\r\n").await.ok(),
        Then::Cut => None,
        Then::Hang => std::future::pending().await,
        Then::Repeat => loop {
            chunk(stream, reply.pieces.last().unwrap()).await?;
        },
    }
}

async fn chunk(stream: &mut TcpStream, piece: &[u8]) -> Option<()> {
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend_from_slice(piece);
    chunk.extend_from_slice(b"\r\n");
    stream.write_all(&chunk).await.ok()
}
