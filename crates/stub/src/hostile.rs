//! An endpoint that does what no server should, on a port of its own: raw TCP, since no library sends such answers.
//!
//! The path of the request says what happens; [`Hostile`] has all of them. Every answer closes the connection, or never ends.

mod bomb;
mod http2;
mod socket;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Between two bytes of what is slow.
const DRIP: Duration = Duration::from_millis(20);
/// What a connection of TLS begins with: the type of the first record.
const TLS_HANDSHAKE: u8 = 22;
/// The longest head of a request that is read, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

macro_rules! hostile {
    ($($(#[$meta:meta])* $name:ident = $path:literal,)*) => {
        /// What a hostile endpoint does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Hostile {
            $($(#[$meta])* $name,)*
        }

        impl Hostile {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its path.
            #[must_use]
            pub fn path(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("/hostile/", $path),)*
                }
            }

            /// What is asked for with a path: that of a behaviour, or one below it.
            pub(crate) fn of(path: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|hostile| {
                    let rest = path.strip_prefix(hostile.path());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            }
        }
    };
}

hostile! {
    /// Never answers.
    Silent = "silent",
    /// Closes the connection at once.
    Cut = "cut",
    /// A head that never ends, byte by byte.
    SlowHead = "slow-head",
    /// A body that is announced and comes byte by byte, for ever.
    SlowBody = "slow-body",
    /// A body that never ends, as fast as it is read.
    EndlessBody = "endless-body",
    /// A body that never ends and gets a thousand times larger when it is decompressed.
    GzipBomb = "gzip-bomb",
    /// A small body that becomes 64 MiB.
    BrotliBomb = "brotli-bomb",
    /// Ten thousand headers.
    ManyHeaders = "many-headers",
    /// A header of 8 MiB.
    HugeHeader = "huge-header",
    /// A redirect to a private address.
    RedirectPrivate = "redirect-private",
    /// A redirect to a cloud's metadata service.
    RedirectMetadata = "redirect-metadata",
    /// A redirect to itself.
    RedirectLoop = "redirect-loop",
    /// A body shorter than announced.
    LengthTooLong = "length-too-long",
    /// A body longer than announced.
    LengthTooShort = "length-too-short",
    /// Two lengths that do not agree.
    TwoLengths = "two-lengths",
    /// A chunk whose size is no number.
    BadChunk = "bad-chunk",
    /// A chunk that says it has 2^63 bytes.
    HugeChunk = "huge-chunk",
    /// What is no HTTP.
    Garbage = "garbage",
    /// An interim response after the other.
    EndlessInterim = "endless-interim",
    /// JSON with bytes that are no UTF-8.
    InvalidUtf8 = "invalid-utf8",
    /// JSON a hundred thousand levels deep.
    DeepJson = "deep-json",
    /// Gzip that is none.
    BrokenGzip = "broken-gzip",
    /// Server-sent events that never come to an end.
    EndlessEvents = "endless-events",
    /// A line of JSON that never comes to its end.
    EndlessLine = "endless-line",
    /// Comments of an event stream, for ever.
    EndlessComments = "endless-comments",
    /// Messages of a WebSocket that never come to an end.
    EndlessMessages = "endless-messages",
    /// A message of a WebSocket in fragments that never come to an end.
    EndlessFragments = "endless-fragments",
    /// A frame of a WebSocket that says it has 2^62 bytes.
    HugeFrame = "huge-frame",
    /// Pings of a WebSocket and nothing else.
    EndlessPings = "endless-pings",
    /// A frame of a WebSocket with a length that there may not be: 2^63.
    ImpossibleFrame = "impossible-frame",
    /// A frame of a WebSocket that says it is compressed, which nobody agreed on.
    CompressedFrame = "compressed-frame",
    /// A body of 64 MiB that is compressed twice.
    GzipInGzip = "gzip-in-gzip",
    /// A TLS handshake that never comes to an end.
    EndlessHandshake = "endless-handshake",
    /// Over HTTP/2: the stream is reset, again and again.
    ResetFlood = "reset-flood",
    /// Over HTTP/2: pings and nothing else.
    PingFlood = "ping-flood",
    /// Over HTTP/2: settings and nothing else.
    SettingsFlood = "settings-flood",
    /// Over HTTP/2: a body of pieces without content, for ever.
    EmptyData = "empty-data",
    /// Over HTTP/2: a block of headers that is continued for ever.
    EndlessContinuation = "endless-continuation",
    /// Over HTTP/2: 64 kB that become 240 MB of headers.
    HeaderBomb = "header-bomb",
    /// Over HTTP/2: a window of 0, so that the body of the request cannot be sent.
    NoWindow = "no-window",
}

/// How often which path was asked for.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    counts: Mutex<BTreeMap<String, u64>>,
    /// Connections that are open.
    open: AtomicUsize,
}

/// A connection, for as long as it is open.
struct Open<'h>(&'h Hits);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hits {
    fn opened(&self) -> Open<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }

    pub(crate) fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn count(&self, path: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(path.to_owned()).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves for ever. Dropping it closes every connection.
pub(crate) async fn serve(listener: TcpListener, hits: Arc<Hits>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Done with.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                let hits = Arc::clone(&hits);
                // An error means that the caller is gone.
                connections.spawn(async move {
                    let _open = hits.opened();
                    answer(stream, &hits).await.unwrap_or_default();
                });
            }
            Err(error) => {
                tracing::error!(%error, "could not accept a connection");
                tokio::time::sleep(DRIP).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, hits: &Hits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0; 1];
    match stream.peek(&mut first).await? {
        1 if first[0] == TLS_HANDSHAKE => {
            hits.count(Hostile::EndlessHandshake.path());
            // A record of 16 kB with a server's greeting of about that length (RFC 8446, sections 5.1 and 4).
            let record = [TLS_HANDSHAKE, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xfb];
            return drip(&mut stream, &record, b"x").await;
        }
        // No method begins with this letter but POST, PUT and PATCH, and their second letters are others.
        1 if first[0] == http2::PREFACE[0] && begins_http2(&stream).await? => {
            return http2::answer(&mut stream, hits).await;
        }
        _ => {}
    }
    let head = read_head(&mut stream).await?;
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    hits.count(path);
    match Hostile::of(path) {
        Some(hostile) => misbehave(hostile, &mut stream, &head).await?,
        None => {
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                .await?
        }
    }
    // What came with the request and was not read would otherwise reset the connection before the answer has arrived.
    stream.shutdown().await?;
    until_closed(&mut stream).await
}

/// Takes whatever comes, and says nothing, until the other side closes the connection.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Whether what comes first is what every connection of HTTP/2 begins with.
async fn begins_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; http2::PREFACE.len()];
    loop {
        let peeked = stream.peek(&mut first).await?;
        let (come, wanted) = (&first[..peeked], &http2::PREFACE[..peeked]);
        if come != wanted || peeked == 0 {
            return Ok(false);
        }
        if peeked == first.len() {
            return Ok(true);
        }
        tokio::time::sleep(DRIP).await;
    }
}

async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).await?;
        head.extend_from_slice(&buffer[..read]);
        if read == 0 || head.len() > LONGEST_HEAD {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// What there is more and more of.
const MORE: &str = "more ";
const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

async fn misbehave(hostile: Hostile, stream: &mut TcpStream, head: &str) -> io::Result<()> {
    let whole = |head: String, body: Vec<u8>| {
        let mut answer = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(&body);
        answer
    };
    let redirect = |to: &str| format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    let answer: Vec<u8> = match hostile {
        Hostile::Silent => return until_closed(stream).await,
        Hostile::Cut => return Ok(()),
        Hostile::SlowHead => return drip(stream, b"HTTP/1.1 200 OK\r\nx: ", b"x").await,
        Hostile::SlowBody => {
            return drip(
                stream,
                format!("{JSON}content-length: 1000000000\r\n\r\n\"").as_bytes(),
                b"x",
            )
            .await;
        }
        Hostile::EndlessBody => return flood(stream, &chunked(JSON), &chunk(b"[0],").repeat(1000)).await,
        Hostile::GzipBomb => {
            let (begin, again) = bomb::gzip();
            let begin = [chunked(&format!("{JSON}content-encoding: gzip\r\n")), chunk(&begin)].concat();
            return flood(stream, &begin, &chunk(&again)).await;
        }
        Hostile::BrotliBomb => whole(format!("{JSON}content-encoding: br\r\n"), bomb::brotli()),
        Hostile::ManyHeaders => {
            let headers: String = (0..10_000).map(|at| format!("x-{at}: {at}\r\n")).collect();
            whole(format!("{JSON}{headers}"), b"1".to_vec())
        }
        Hostile::HugeHeader => whole(format!("{JSON}x: {}\r\n", "x".repeat(8 << 20)), b"1".to_vec()),
        Hostile::RedirectPrivate => redirect("http://10.255.255.1/").into(),
        Hostile::RedirectMetadata => redirect("http://169.254.169.254/latest/meta-data/").into(),
        Hostile::RedirectLoop => redirect(hostile.path()).into(),
        Hostile::LengthTooLong => format!("{JSON}content-length: 1000\r\n\r\n\"short\"").into(),
        Hostile::LengthTooShort => format!("{JSON}content-length: 3\r\n\r\n\"longer\"").into(),
        Hostile::TwoLengths => format!("{JSON}content-length: 1\r\ncontent-length: 7\r\n\r\n\"seven\"").into(),
        Hostile::BadChunk => format!("{JSON}transfer-encoding: chunked\r\n\r\nzz\r\n1\r\n").into(),
        Hostile::HugeChunk => {
            let head = format!("{JSON}transfer-encoding: chunked\r\n\r\n7fffffffffffffff\r\n");
            return flood(stream, head.as_bytes(), &[b'1'; 4096]).await;
        }
        Hostile::Garbage => (0..=255).cycle().take(4096).collect(),
        Hostile::EndlessInterim => return flood(stream, b"", b"HTTP/1.1 102 Processing\r\n\r\n").await,
        Hostile::InvalidUtf8 => whole(JSON.to_owned(), b"\"\xff\xfe\xc0\xaf\"".to_vec()),
        Hostile::DeepJson => whole(JSON.to_owned(), "[".repeat(100_000).into_bytes()),
        Hostile::BrokenGzip => whole(format!("{JSON}content-encoding: gzip\r\n"), b"this is no gzip".to_vec()),
        Hostile::EndlessEvents => {
            return flood(
                stream,
                &events(),
                &chunk(format!("data: {{\"text\": \"{}\"}}\n\n", MORE.repeat(20)).as_bytes()),
            )
            .await;
        }
        Hostile::EndlessComments => return flood(stream, &events(), &chunk(&b": still there\n".repeat(500))).await,
        Hostile::EndlessLine => {
            let begin = chunked("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n");
            return flood(
                stream,
                &[begin, chunk(b"{\"text\": \"")].concat(),
                &chunk(MORE.repeat(1000).as_bytes()),
            )
            .await;
        }
        Hostile::GzipInGzip => whole(format!("{JSON}content-encoding: gzip, gzip\r\n"), bomb::twice()),
        Hostile::EndlessMessages
        | Hostile::EndlessFragments
        | Hostile::HugeFrame
        | Hostile::ImpossibleFrame
        | Hostile::CompressedFrame
        | Hostile::EndlessPings => {
            let (begin, again) = socket::frames(hostile, head);
            return flood(stream, &begin, &again).await;
        }
        // These are for those who speak TLS or HTTP/2.
        Hostile::EndlessHandshake
        | Hostile::ResetFlood
        | Hostile::PingFlood
        | Hostile::SettingsFlood
        | Hostile::EmptyData
        | Hostile::EndlessContinuation
        | Hostile::HeaderBomb
        | Hostile::NoWindow => b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n".to_vec(),
    };
    stream.write_all(&answer).await
}

/// Sends a beginning, and then one byte after the other.
async fn drip(stream: &mut TcpStream, begin: &[u8], byte: &[u8]) -> io::Result<()> {
    stream.write_all(begin).await?;
    loop {
        tokio::time::sleep(DRIP).await;
        stream.write_all(byte).await?;
    }
}

/// Sends a beginning, and then the same again and again.
async fn flood(stream: &mut (impl AsyncWrite + Unpin), begin: &[u8], again: &[u8]) -> io::Result<()> {
    stream.write_all(begin).await?;
    let again = again.repeat((16 * 1024 / again.len()).max(1));
    loop {
        stream.write_all(&again).await?;
        // One flood must not keep the others from their turn on a single thread.
        tokio::task::yield_now().await;
    }
}

fn chunked(head: &str) -> Vec<u8> {
    format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes()
}

fn events() -> Vec<u8> {
    chunked("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
