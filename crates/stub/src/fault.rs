//! Answers that are worse than an error. Each holds its call until its body is done or dropped.

use std::convert::Infallible;
use std::io;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};

use crate::behaviour::{Fault, FaultKind};
use crate::call::Ending;
use crate::call_log::OpenCall;

const HALF: &[u8] = br#"{"answer": "This answer never com"#;
const FILLER: &[u8] = &[b'x'; 64 * 1024];

/// Answers a call badly. A hanging one returns only when its caller goes away, by being dropped.
pub(crate) async fn misbehave(fault: Fault, mut call: OpenCall) -> Response {
    match fault.kind {
        FaultKind::Hang => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
        FaultKind::Cut => {
            call.note_ending(Ending::Cut);
            drop(call);
            // The error reaches the server before it has sent a byte, so nothing is sent at all.
            json_body(stream::once(async { Err(cut()) }))
        }
        FaultKind::CutBody => {
            call.note_status(StatusCode::OK);
            call.note_ending(Ending::Cut);
            json_body(half().chain(stream::once(async move {
                // One turn for the server to send what it has.
                tokio::task::yield_now().await;
                drop(call);
                Err(cut())
            })))
        }
        FaultKind::HangBody => {
            call.note_status(StatusCode::OK);
            json_body(half().chain(stream::once(async move {
                let _open = call;
                std::future::pending().await
            })))
        }
        FaultKind::HugeBody => {
            call.note_status(StatusCode::OK);
            json_body(huge(fault.bytes, call))
        }
        FaultKind::InvalidJson => {
            call.note_status(StatusCode::OK);
            call.note_ending(Ending::Answered);
            ([(header::CONTENT_TYPE, "application/json")], HALF).into_response()
        }
    }
}

fn json_body(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response {
    let body = Body::from_stream(chunks);
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn half() -> impl Stream<Item = io::Result<Bytes>> {
    stream::once(async { Ok(Bytes::from_static(HALF)) })
}

/// A valid document of `bytes` bytes, or the shortest one.
fn huge(bytes: u64, mut call: OpenCall) -> impl Stream<Item = io::Result<Bytes>> {
    let (start, end) = (br#"{"answer":""#.as_slice(), br#""}"#.as_slice());
    let filler = bytes.saturating_sub((start.len() + end.len()) as u64);
    let filling = stream::unfold(filler, |left| async move {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(FILLER.len());
        (size > 0).then(|| (Ok(Bytes::from_static(&FILLER[..size])), left - size as u64))
    });
    stream::once(async move { Ok(Bytes::from_static(start)) })
        .chain(filling)
        .chain(stream::once(async move {
            call.note_ending(Ending::Answered);
            drop(call);
            Ok(Bytes::from_static(end))
        }))
}

fn cut() -> io::Error {
    io::Error::other("cut on purpose")
}
