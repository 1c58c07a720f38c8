//! `peer-mock PORT DELAY_MS`: answers every POST after a delay, over HTTP/1.1 with keep-alive, on one thread of loopback.
//!
//! Any other request gets the statistics: `{"posts": …, "max_inflight": …, "connections": …}`.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const ANSWER: &str = r#"{"answer":"ok","tokens":17}"#;
const BACKLOG: u32 = 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

#[derive(Default)]
struct Statistics {
    posts: Cell<u64>,
    in_flight: Cell<u64>,
    max_in_flight: Cell<u64>,
    connections: Cell<u64>,
}

impl Statistics {
    fn begin(&self) {
        self.posts.set(self.posts.get() + 1);
        self.in_flight.set(self.in_flight.get() + 1);
        self.max_in_flight
            .set(self.max_in_flight.get().max(self.in_flight.get()));
    }

    fn end(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
    }

    fn json(&self) -> String {
        format!(
            r#"{{"posts":{},"max_inflight":{},"connections":{}}}"#,
            self.posts.get(),
            self.max_in_flight.get(),
            self.connections.get()
        )
    }
}

/// Reads one request, body included, and takes it out of `buffer`. Whether it was a POST; `None` at the end of the stream.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<bool>> {
    let head_end = loop {
        if let Some(at) = buffer
            .windows(END_OF_HEAD.len())
            .position(|window| window == END_OF_HEAD)
        {
            break at + END_OF_HEAD.len();
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0);
    let end = head_end + length;
    while buffer.len() < end {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    buffer.drain(..end);
    Ok(Some(head.starts_with("post ")))
}

async fn serve(mut stream: TcpStream, statistics: Rc<Statistics>, delay: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    statistics.connections.set(statistics.connections.get() + 1);
    let mut buffer = Vec::with_capacity(4096);
    while let Some(post) = read_request(&mut stream, &mut buffer).await? {
        let body = if post {
            statistics.begin();
            tokio::time::sleep(delay).await;
            statistics.end();
            ANSWER.to_owned()
        } else {
            statistics.json()
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: keep-alive\r\nContent-Length: ";
        let answer = format!("{head}{}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(BACKLOG)
}

fn arguments() -> Option<(u16, Duration)> {
    let mut given = std::env::args().skip(1);
    let port = given.next()?.parse().ok()?;
    let delay = given.next()?.parse().ok()?;
    Some((port, Duration::from_millis(delay)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let Some((port, delay)) = arguments() else {
        return Err(io::Error::other("usage: peer-mock PORT DELAY_MS"));
    };
    let listener = listen(port)?;
    let statistics = Rc::new(Statistics::default());
    let connections = tokio::task::LocalSet::new();
    connections
        .run_until(async {
            loop {
                let (stream, _) = listener.accept().await?;
                let serving = serve(stream, Rc::clone(&statistics), delay);
                tokio::task::spawn_local(async move {
                    if let Err(error) = serving.await {
                        eprintln!("peer-mock: a connection broke: {error}");
                    }
                });
            }
        })
        .await
}
