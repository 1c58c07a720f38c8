//! What a hostile stub sends: each does what its name says.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use testfleet_stub::{Hostile, Stub, StubHandle, StubSettings};

/// Longer than anything here takes; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

fn start() -> StubHandle {
    Stub::start(StubSettings {
        hostile: true,
        ..StubSettings::default()
    })
    .unwrap()
}

/// What comes within so many bytes.
fn beginning(stub: &StubHandle, path: &str, most: usize) -> Vec<u8> {
    let address = stub.hostile_url().unwrap().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: stub\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut all = Vec::new();
    (&mut stream).take(most as u64).read_to_end(&mut all).unwrap();
    all
}

#[test]
fn what_ends_is_sent_whole_and_what_does_not_goes_on() {
    let stub = start();
    for hostile in Hostile::ALL {
        if *hostile == Hostile::Silent {
            continue;
        }
        let elsewhere = matches!(
            hostile,
            Hostile::EndlessHandshake
                | Hostile::ResetFlood
                | Hostile::PingFlood
                | Hostile::SettingsFlood
                | Hostile::EmptyData
                | Hostile::EndlessContinuation
                | Hostile::HeaderBomb
                | Hostile::NoWindow
        );
        if elsewhere {
            let got = beginning(&stub, hostile.path(), 1_000);
            assert!(got.starts_with(b"HTTP/1.1 426 "), "{hostile:?}");
            continue;
        }
        let slow = matches!(hostile, Hostile::SlowHead | Hostile::SlowBody);
        let most = if slow { 100 } else { 20_000 };
        let got = beginning(&stub, hostile.path(), most);
        let endless = format!("{hostile:?}").starts_with("Endless");
        let endless = endless || slow || matches!(hostile, Hostile::GzipBomb | Hostile::HugeFrame | Hostile::HugeChunk);
        if endless {
            assert_eq!(got.len(), most, "{hostile:?}");
        }
        assert_eq!(got.is_empty(), *hostile == Hostile::Cut, "{hostile:?}");
        assert_eq!(stub.hostile_hits()[hostile.path()], 1);
    }
    assert!(stub.calls().is_empty(), "they are no calls of the routes");
}

#[test]
fn who_begins_with_tls_is_greeted_for_ever() {
    let stub = start();
    let address = stub.hostile_url().unwrap().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The head of a record, RFC 8446, section 5.1.
    stream.write_all(&[22, 3, 1, 0, 200]).unwrap();
    let mut got = [0; 40];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got[..6], [22, 3, 3, 0x3f, 0xff, 2]);
    assert_eq!(stub.hostile_hits()[Hostile::EndlessHandshake.path()], 1);
    assert_eq!(stub.hostile_connections(), 1);
}

#[test]
fn bombs_become_what_they_promise() {
    let stub = start();
    let body = |path: &str, most: usize| {
        let all = beginning(&stub, path, most);
        let at = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        all[at..].to_vec()
    };
    let mut out = Vec::new();
    let packed = body(Hostile::BrotliBomb.path(), 1 << 20);
    brotli::Decompressor::new(&packed[..], 4096)
        .read_to_end(&mut out)
        .unwrap();
    assert!(
        packed.len() < 4096 && out.len() == 64 << 20,
        "{} {}",
        packed.len(),
        out.len()
    );
    // Of the endless one what comes in 100 KiB, without the frames of its chunks.
    let mut packed = Vec::new();
    let raw = body(Hostile::GzipBomb.path(), 100 * 1024);
    let mut rest = &raw[..];
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let data = &rest[end + 2..];
        if data.len() < size + 2 {
            break;
        }
        packed.extend_from_slice(&data[..size]);
        rest = &data[size + 2..];
    }
    let mut total = 0;
    let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = decoder.read(&mut buffer) {
        total += read;
    }
    assert!(total > 50 << 20, "{total} of {}", packed.len());
}

#[test]
fn a_websocket_is_accepted_as_the_specification_says() {
    let stub = start();
    let got = beginning(&stub, Hostile::EndlessMessages.path(), 200);
    let text = String::from_utf8_lossy(&got);
    // The example of RFC 6455, section 1.3.
    assert!(
        text.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "{text}"
    );
}
