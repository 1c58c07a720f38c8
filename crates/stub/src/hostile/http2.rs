//! What no server should send over HTTP/2 (RFC 9113).
//!
//! A library reads the request, so that its path is known; what is answered are raw frames. No request may send a body: the
//! window is 0 from the beginning.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Hits, Hostile, flood, until_closed};

/// What a connection begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// The stream of the first request.
const STREAM: u32 = 1;
/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Types of frames, section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// The flag of a block of headers that is complete.
const END_HEADERS: u8 = 4;
/// `:status: 200` (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;

/// Reads a request and answers it as its path says.
pub(super) async fn answer(stream: &mut TcpStream, hits: &Hits) -> io::Result<()> {
    let Ok(hostile) = tokio::time::timeout(PATIENCE, requested(stream, hits)).await else {
        return Ok(());
    };
    let Some(hostile) = hostile? else { return Ok(()) };
    let header = literal("x-more", &"more ".repeat(20));
    let (first, again) = match hostile {
        Hostile::ResetFlood => (Vec::new(), frame(RST_STREAM, 0, STREAM, &2_u32.to_be_bytes())),
        Hostile::PingFlood => (Vec::new(), frame(PING, 0, 0, &[7; 8])),
        Hostile::SettingsFlood => (Vec::new(), frame(SETTINGS, 0, 0, &[])),
        Hostile::EmptyData => (
            frame(HEADERS, END_HEADERS, STREAM, &[STATUS_200]),
            frame(DATA, 0, STREAM, &[]),
        ),
        Hostile::EndlessContinuation => (
            frame(HEADERS, 0, STREAM, &[STATUS_200]),
            frame(CONTINUATION, 0, STREAM, &header),
        ),
        Hostile::HeaderBomb => return bomb(stream).await,
        // The request has a body that may not be sent.
        _ => return until_closed(stream).await,
    };
    // Who takes nothing cannot send pings for long either: each is answered.
    let (mut read, mut write) = stream.split();
    tokio::select! {
        sent = flood(&mut write, &first, &again) => sent,
        taken = until_closed(&mut read) => taken,
    }
}

/// What the path of the first request asks for; `None` when there is none.
async fn requested(stream: &mut TcpStream, hits: &Hits) -> io::Result<Option<Hostile>> {
    let mut connection = h2::server::Builder::new()
        .initial_window_size(0)
        .handshake::<_, &[u8]>(stream)
        .await
        .map_err(io::Error::other)?;
    let Some(request) = connection.accept().await else {
        return Ok(None);
    };
    let (request, _) = request.map_err(io::Error::other)?;
    let path = request.uri().path();
    hits.count(path);
    Ok(Hostile::of(path))
}

/// A header of 4,000 bytes that is put into the table, and named 60,000 times with a byte each: 240 MB.
async fn bomb(stream: &mut TcpStream) -> io::Result<()> {
    let mut block = vec![STATUS_200];
    block.extend(literal("x-bomb", &"b".repeat(3_960)));
    stream.write_all(&frame(HEADERS, 0, STREAM, &block)).await?;
    // The newest entry of the table is the first after the 61 that everybody knows.
    let again = vec![0x80 | 62; 15_000];
    for last in [false, false, false, true] {
        let flags = if last { END_HEADERS } else { 0 };
        stream.write_all(&frame(CONTINUATION, flags, STREAM, &again)).await?;
    }
    until_closed(stream).await
}

/// A header that is put into the table (RFC 7541, section 6.2.1), without compression.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut header = vec![0x40];
    for text in [name, value] {
        header.extend(length(text.len()));
        header.extend_from_slice(text.as_bytes());
    }
    header
}

/// A number with a prefix of seven bits (RFC 7541, section 5.1).
fn length(mut number: usize) -> Vec<u8> {
    if number < 127 {
        return vec![number as u8];
    }
    number -= 127;
    let mut bytes = vec![127];
    while number >= 128 {
        bytes.push((number % 128) as u8 | 0x80);
        number /= 128;
    }
    bytes.push(number as u8);
    bytes
}

/// A frame (section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
