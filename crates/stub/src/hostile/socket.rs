//! Frames of a WebSocket (RFC 6455, section 5.2) that never come to an end.

use axum::http::HeaderValue;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Hostile, MORE};

/// The handshake and the first frame, and what follows for ever.
pub(super) fn frames(hostile: Hostile, head: &str) -> (Vec<u8>, Vec<u8>) {
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    let key = key.and_then(|key| HeaderValue::from_str(key).ok());
    let accept = key.map(|key| derive_accept_key(key.as_bytes())).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    let (first, again) = match hostile {
        Hostile::EndlessFragments => (frame(0x01, b"{\"text\": \""), frame(0x00, MORE.repeat(20).as_bytes())),
        Hostile::HugeFrame => (
            [&[0x81, 127][..], &(1_u64 << 62).to_be_bytes()].concat(),
            vec![b'1'; 1024],
        ),
        Hostile::ImpossibleFrame => (
            [&[0x81, 127][..], &(1_u64 << 63).to_be_bytes()].concat(),
            vec![b'1'; 1024],
        ),
        // The first reserved bit, as RFC 7692 uses it.
        Hostile::CompressedFrame => (Vec::new(), frame(0xc1, b"\xca\x48\xcd\xc9\xc9\x07\x00")),
        Hostile::EndlessPings => (Vec::new(), frame(0x89, b"still there")),
        _ => (
            Vec::new(),
            frame(0x81, format!("{{\"text\": \"{}\"}}", MORE.repeat(20)).as_bytes()),
        ),
    };
    ([head.into_bytes(), first].concat(), again)
}

/// A short frame: final bit and kind, length, content.
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or_default();
    [&[first, length], content].concat()
}
