//! Many long answers at once, and less memory than all of them need.
//!
//! Promises: BOUNDED-MEMORY.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, json};
use testfleet_endpoint::{
    AnswerMemory, AnswerUse, Call, CompileContext, Egress, Invocation, InvokeError, Limits, Target,
};
use testfleet_model::RunId;
use testfleet_model::result::ErrorClass;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::fixture::{RUN, endpoint, secrets, test_case};

const MAX_BODY: usize = 256 * 1024;
/// For bodies there is a quarter: room for one of [`MAX_BODY`], or of more than half of it.
const ROOM_FOR_ONE: u64 = 4 * MAX_BODY as u64;
const NOTHING: AnswerUse = AnswerUse {
    reading: 0,
    work: 0,
    waiting: 0,
};

/// A server that keeps back the last byte of every answer until it gets a permit for it.
struct Keeping {
    url: String,
    last: Arc<Semaphore>,
    server: JoinHandle<()>,
}

impl Keeping {
    async fn serve(body: String, announced: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let last = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&last);
        let length = if announced {
            format!("content-length: {}\r\n", body.len())
        } else {
            String::new()
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{length}connection: close\r\n\r\n");
        let answer: Arc<[u8]> = (head + &body).into_bytes().into();
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (answer, gate) = (Arc::clone(&answer), Arc::clone(&gate));
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let _ = stream.read(&mut request).await;
                    let (most, rest) = answer.split_at(answer.len() - 1);
                    // Whoever does not want the answer is gone by now.
                    let _ = stream.write_all(most).await;
                    gate.acquire().await.unwrap().forget();
                    let _ = stream.write_all(rest).await;
                });
            }
        });
        Self { url, last, server }
    }

    fn release(&self, answers: usize) {
        self.last.add_permits(answers);
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn target(url: &str) -> Arc<Target> {
    let context = CompileContext {
        secrets: &secrets(),
        egress: Egress::public_only().allow_loopback(true),
        limits: Limits {
            max_body_bytes: MAX_BODY,
            ..Limits::default()
        },
        root_certificates: b"",
    };
    Arc::new(Target::compile(&endpoint(url, json!({})), context).unwrap())
}

/// One call, whose share is given back when it has ended.
fn call(target: &Arc<Target>, memory: &AnswerMemory) -> JoinHandle<Result<Invocation, InvokeError>> {
    let (target, mut share) = (Arc::clone(target), memory.share());
    tokio::spawn(async move {
        let captured = Map::new();
        let call = Call {
            run: &RUN.parse::<RunId>().unwrap(),
            run_name: "regression",
            test: &test_case(json!({})),
            index: 0,
            epoch: 1,
            attempt: 1,
            captured: &captured,
            now: chrono::DateTime::UNIX_EPOCH,
        };
        target.invoke_within(&call, &mut share).await
    })
}

/// Waits for that use, however long it takes.
async fn until(memory: &AnswerMemory, what: impl Fn(AnswerUse) -> bool) {
    while !what(memory.in_use()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn long(bytes: usize) -> String {
    json!("x".repeat(bytes)).to_string()
}

#[tokio::test]
async fn where_there_is_room_for_one_long_answer_the_others_wait_and_all_are_read() {
    for announced in [true, false] {
        let server = Keeping::serve(long(150_000), announced).await;
        let (target, memory) = (target(&server.url), AnswerMemory::new(ROOM_FOR_ONE));
        let calls: Vec<_> = (0..4).map(|_| call(&target, &memory)).collect();
        // One reads, for as long as the server keeps its last byte.
        until(&memory, |used| used.waiting == 3).await;
        server.release(4);
        for call in calls {
            let answer = call.await.unwrap().unwrap();
            assert_eq!(answer.text.len(), 150_002);
        }
        assert_eq!(memory.in_use(), NOTHING);
    }
}

#[tokio::test]
async fn a_short_answer_does_not_wait_behind_long_ones() {
    let (server, short) = (
        Keeping::serve(long(150_000), false).await,
        Keeping::serve(long(50_000), true).await,
    );
    let (long, memory) = (target(&server.url), AnswerMemory::new(ROOM_FOR_ONE));
    let calls: Vec<_> = (0..2).map(|_| call(&long, &memory)).collect();
    until(&memory, |used| used.waiting == 1).await;
    short.release(1);
    let answer = call(&target(&short.url), &memory).await.unwrap().unwrap();
    assert_eq!(answer.text.len(), 50_002);
    assert_eq!(memory.in_use().waiting, 1, "the long ones are where they were");
    server.release(2);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn calls_that_are_given_up_leave_their_room_to_others() {
    let server = Keeping::serve(long(150_000), true).await;
    let (target, memory) = (target(&server.url), AnswerMemory::new(ROOM_FOR_ONE));
    let calls: Vec<_> = (0..3).map(|_| call(&target, &memory)).collect();
    until(&memory, |used| used.waiting == 2).await;
    for call in calls {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(memory.in_use(), NOTHING);
    server.release(4);
    call(&target, &memory).await.unwrap().unwrap();
}

#[tokio::test]
async fn waiting_for_memory_is_not_the_endpoints_time() {
    let server = Keeping::serve(long(150_000), true).await;
    let (target, memory) = (target(&server.url), AnswerMemory::new(ROOM_FOR_ONE));
    let began = Instant::now();
    let calls: Vec<_> = (0..2).map(|_| call(&target, &memory)).collect();
    until(&memory, |used| used.waiting == 1).await;
    let waits = Instant::now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let waited = waits.elapsed();
    server.release(2);
    let mut taken = Vec::new();
    for call in calls {
        taken.push(call.await.unwrap().unwrap().elapsed);
    }
    let shortest = taken.iter().min().unwrap();
    assert!(
        *shortest + waited <= began.elapsed(),
        "{taken:?} of which one waited {waited:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_announced_as_too_large_does_not_wait() {
    let (server, larger) = (
        Keeping::serve(long(150_000), true).await,
        Keeping::serve(long(MAX_BODY), true).await,
    );
    let (long, memory) = (target(&server.url), AnswerMemory::new(ROOM_FOR_ONE));
    let _first = call(&long, &memory);
    let _second = call(&long, &memory);
    until(&memory, |used| used.waiting == 1).await;
    let error = call(&target(&larger.url), &memory).await.unwrap().unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::TooLarge);
    assert!(
        error.detail.message.contains("larger than 262144 bytes"),
        "{}",
        error.detail.message
    );
    assert!(error.detail.body.unwrap().starts_with("\"xxx"));
}

#[tokio::test]
async fn an_answer_that_would_fill_the_memory_when_parsed_is_an_error_and_is_not_parsed() {
    let body = format!("[{}]", vec!["{\"\":0}"; 25_000].join(","));
    let server = Keeping::serve(body, true).await;
    server.release(2);
    let target = target(&server.url);
    let memory = AnswerMemory::new(16 * 1024 * 1024);
    let error = call(&target, &memory).await.unwrap().unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::TooLarge);
    assert!(
        error.detail.message.contains("limits.answer_memory"),
        "{}",
        error.detail.message
    );
    assert_eq!(memory.in_use(), NOTHING);
    let enough = AnswerMemory::new(256 * 1024 * 1024);
    call(&target, &enough).await.unwrap().unwrap();
}
