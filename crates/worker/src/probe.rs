//! Probes over HTTP: `/live`, `/ready` and `/startup` of one worker, and the client that `testfleet-worker healthcheck`
//! is.
//!
//! The listener has a thread and a runtime of its own, so it answers while everything else waits or is busy. It answers
//! from [`Health`] alone. `200` is yes, `503` is no; the body is one line that says why. It knows no secrets, so it asks
//! for none; listen on an address that only those can reach who should.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::health::{Health, Question, Verdict};

/// How long a client may take to send its request, and to take its answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(2);
/// The most of a request that is read, in bytes.
const REQUEST_LIMIT: usize = 4096;
/// Clients at once.
const CLIENT_LIMIT: usize = 32;
/// How long [`ask`] waits for an answer.
const ASK_PATIENCE: Duration = Duration::from_secs(2);

/// A listener that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address} for health probes: {source}; choose another worker.health_listen")]
pub struct ProbeError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Answers probes on `address` until the process ends, and says where it listens: port 0 takes any free one.
///
/// # Errors
/// When the address cannot be had.
pub fn serve(address: SocketAddr, health: Arc<Health>) -> Result<SocketAddr, ProbeError> {
    let failed = |source| ProbeError { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    std::thread::Builder::new()
        .name("health".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => accept(listener, health).await,
                    Err(error) => warn!(%error, "could not answer health probes"),
                }
            });
        })
        .map_err(failed)?;
    Ok(bound)
}

async fn accept(listener: TcpListener, health: Arc<Health>) {
    let room = Arc::new(Semaphore::new(CLIENT_LIMIT));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let health = Arc::clone(&health);
                tokio::spawn(async move {
                    // A client that is slow or gone has itself to blame.
                    let _ = tokio::time::timeout(CLIENT_PATIENCE, answer(stream, &health)).await;
                    drop(place);
                });
            }
            // Usually: too many open files. Others may close theirs meanwhile.
            Err(error) => {
                warn!(%error, "could not accept a health probe");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn answer(mut stream: tokio::net::TcpStream, health: &Health) -> std::io::Result<()> {
    let mut request = Vec::with_capacity(512);
    while !is_complete(&request) && request.len() < REQUEST_LIMIT {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    stream.write_all(respond(&request, health).as_bytes()).await?;
    stream.shutdown().await
}

fn is_complete(request: &[u8]) -> bool {
    request.windows(4).any(|end| end == b"\r\n\r\n")
}

fn respond(request: &[u8], health: &Health) -> String {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let question = match (method, path) {
        ("GET" | "HEAD", "/live") => Question::Live,
        ("GET" | "HEAD", "/ready") => Question::Ready,
        ("GET" | "HEAD", "/startup") => Question::Startup,
        ("GET" | "HEAD", _) => return response("404 Not Found", "there are /live, /ready and /startup", method),
        _ => return response("405 Method Not Allowed", "only GET is understood", method),
    };
    match health.verdict(question) {
        Verdict::Green => response("200 OK", "ok", method),
        Verdict::Red(reason) => response("503 Service Unavailable", &reason, method),
    }
}

fn response(status: &str, line: &str, method: &str) -> String {
    let body = if method == "HEAD" {
        String::new()
    } else {
        format!("{line}\n")
    };
    let length = line.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Asks the worker that listens on `address`. An address that means "all of this machine" is asked on loopback.
///
/// # Errors
/// When nobody answers there, within two seconds.
pub fn ask(address: SocketAddr, question: Question) -> std::io::Result<Verdict> {
    let path = match question {
        Question::Live => "/live",
        Question::Ready => "/ready",
        Question::Startup => "/startup",
    };
    let mut stream = TcpStream::connect_timeout(&reachable(address), ASK_PATIENCE)?;
    stream.set_read_timeout(Some(ASK_PATIENCE))?;
    stream.set_write_timeout(Some(ASK_PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(REQUEST_LIMIT as u64).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    match status {
        "200" => Ok(Verdict::Green),
        "503" => Ok(Verdict::Red(body.trim().to_owned())),
        other => Err(std::io::Error::other(format!(
            "what listens there is no worker (status {other:?})"
        ))),
    }
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use testfleet_bootstrap::settings::Settings;

    use super::*;

    fn health() -> Health {
        Health::new(&Settings::defaults())
    }

    fn status_of(request: &str, health: &Health) -> String {
        let answer = respond(request.as_bytes(), health);
        answer.split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn every_question_has_a_path_and_nothing_else_has() {
        let health = health();
        assert_eq!(status_of("GET /live HTTP/1.1\r\n\r\n", &health), "200");
        assert_eq!(status_of("GET /ready HTTP/1.1\r\n\r\n", &health), "503");
        assert_eq!(status_of("GET /ready?a=b HTTP/1.1\r\n\r\n", &health), "503");
        assert_eq!(status_of("HEAD /startup HTTP/1.0\r\n\r\n", &health), "503");
        assert_eq!(status_of("GET / HTTP/1.1\r\n\r\n", &health), "404");
        assert_eq!(status_of("POST /live HTTP/1.1\r\n\r\n", &health), "405");
        assert_eq!(status_of("", &health), "405");
    }

    #[test]
    fn a_head_request_gets_no_body_and_the_length_it_would_have() {
        let answer = respond(b"HEAD /live HTTP/1.1\r\n\r\n", &health());
        assert!(answer.contains("Content-Length: 3\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[test]
    fn the_client_understands_the_server() {
        let health = Arc::new(health());
        let address = serve("127.0.0.1:0".parse().unwrap(), Arc::clone(&health)).unwrap();
        assert_eq!(ask(address, Question::Live).unwrap(), Verdict::Green);
        assert_eq!(
            ask(address, Question::Ready).unwrap(),
            Verdict::Red("not registered yet".to_owned())
        );
        health.registered();
        assert_eq!(ask(address, Question::Ready).unwrap(), Verdict::Green);
    }

    #[test]
    fn clients_that_say_nothing_do_not_keep_others_from_an_answer() {
        let address = serve("127.0.0.1:0".parse().unwrap(), Arc::new(health())).unwrap();
        let _silent: Vec<_> = (0..CLIENT_LIMIT - 1)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        assert_eq!(ask(address, Question::Live).unwrap(), Verdict::Green);
    }

    #[test]
    fn an_address_of_all_interfaces_is_asked_on_loopback() {
        assert_eq!(reachable("0.0.0.0:9464".parse().unwrap()).to_string(), "127.0.0.1:9464");
        assert_eq!(reachable("[::]:9464".parse().unwrap()).to_string(), "[::1]:9464");
        assert_eq!(reachable("10.0.0.1:1".parse().unwrap()).to_string(), "10.0.0.1:1");
    }
}
