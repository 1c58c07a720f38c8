//! Calls over WebSockets.
#![expect(clippy::result_large_err, reason = "refusals are as large as the library has them")]

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use testfleet_endpoint::{AnswerMemory, Egress, Invocation, InvokeError, RetryAdvice};
use testfleet_model::configuration::Endpoint;
use testfleet_model::result::ErrorClass;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::fixture::{self, compile, compile_with, invoke_target, test_case};

/// What a server does with one connection, step by step.
#[derive(Clone)]
enum Step {
    /// Waits for a text and writes it down.
    Expect,
    Say(String),
    Send(Message),
    Close(u16, &'static str),
    /// Closes the TCP connection.
    Drop,
    /// The last message again and again.
    Flood(Message),
    Raw(Vec<u8>),
    Hang,
}

fn say(value: Value) -> Step {
    Step::Say(value.to_string())
}

struct Server {
    url: String,
    heads: Heads,
    texts: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(steps: impl Into<Vec<Step>>) -> Self {
        let steps = steps.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/chat", listener.local_addr().unwrap());
        let (heads, texts) = (Arc::default(), Arc::default());
        let (log, said) = (Arc::clone(&heads), Arc::clone(&texts));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = accept_hdr_async(stream, |request: &Request, response: Response| {
                    shake(request, response, &log)
                });
                if let Ok(stream) = stream.await {
                    tokio::spawn(serve(stream, steps.clone(), Arc::clone(&said)));
                }
            }
        });
        Self {
            url,
            heads,
            texts,
            task,
        }
    }

    fn texts(&self) -> Vec<String> {
        self.texts.lock().unwrap().clone()
    }

    fn header(&self, name: &str) -> Option<String> {
        let heads = self.heads.lock().unwrap();
        let (_, headers) = heads.last().unwrap();
        headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// URL and headers of each handshake.
type Heads = Arc<Mutex<Vec<Head>>>;
type Head = (String, Vec<(String, String)>);

fn shake(request: &Request, mut response: Response, log: &Heads) -> Result<Response, ErrorResponse> {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    log.lock().unwrap().push((request.uri().to_string(), headers.collect()));
    if request.uri().query() == Some("refuse") {
        let mut refusal = ErrorResponse::new(Some("{\"error\":\"busy\"}".to_owned()));
        *refusal.status_mut() = 503.try_into().unwrap();
        refusal.headers_mut().insert("retry-after", "7".parse().unwrap());
        return Err(refusal);
    }
    if let Some(offered) = request.headers().get("sec-websocket-protocol") {
        let first = offered.to_str().unwrap().split(", ").last().unwrap();
        response
            .headers_mut()
            .insert("sec-websocket-protocol", first.parse().unwrap());
    }
    Ok(response)
}

async fn serve(mut stream: WebSocketStream<TcpStream>, steps: Vec<Step>, texts: Arc<Mutex<Vec<String>>>) {
    for step in steps {
        let done = match step {
            Step::Expect => loop {
                match stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        texts.lock().unwrap().push(text.to_string());
                        break Ok(());
                    }
                    Some(Ok(_)) => {}
                    _ => return,
                }
            },
            Step::Say(text) => stream.send(Message::text(text)).await,
            Step::Send(message) => stream.send(message).await,
            Step::Close(code, reason) => {
                let frame = CloseFrame {
                    code: CloseCode::from(code),
                    reason: reason.into(),
                };
                stream.close(Some(frame)).await
            }
            Step::Drop => return,
            Step::Flood(message) => loop {
                if stream.send(message.clone()).await.is_err() {
                    return;
                }
            },
            Step::Raw(bytes) => stream.get_mut().write_all(&bytes).await.map_err(Into::into),
            Step::Hang => std::future::pending().await,
        };
        if done.is_err() {
            return;
        }
    }
    // Until the other side has closed.
    while let Some(Ok(_)) = stream.next().await {}
}

fn endpoint(url: &str, websocket: Value, more: Value) -> Endpoint {
    let mut document = json!({
        "type": "websocket", "method": "GET", "websocket": websocket,
        "response": {"format": "messages", "success": {"status": [{"first": 101, "last": 101}]}},
    });
    let keys = more.as_object().unwrap().clone();
    for (key, value) in keys {
        if key == "map" {
            document["response"]["map"] = value;
        } else {
            document[key] = value;
        }
    }
    fixture::endpoint(url, document)
}

async fn invoke(endpoint: &Endpoint) -> Result<Invocation, InvokeError> {
    fixture::invoke(endpoint, &test_case(json!({"input": "hi", "vars": {"n": 7}}))).await
}

#[tokio::test]
async fn an_answer_in_pieces_is_put_together() {
    let steps = [
        Step::Expect,
        say(json!({"note": "still loading"})),
        Step::Send(Message::Ping(vec![1, 2, 3].into())),
        say(json!({"type": "ready"})),
        Step::Expect,
        Step::Expect,
        say(json!({"delta": ""})),
        say(json!({"delta": "Hel"})),
        say(json!({"delta": "lo", "why": "stop"})),
        say(json!({"type": "end", "usage": {"out": 2}})),
        say(json!({"delta": "never read"})),
    ];
    let server = Server::start(steps).await;
    let websocket = json!({
        "subprotocols": ["chat.v1", "chat.v2"], "open": [{"hello": "{{ input }}"}], "ready": "{{ body.type == 'ready' }}",
        "send": [{"n": "{{ vars.n }}", "ask": "{{ input }}"}, "go {{ vars.n }}"],
        "append": "$.delta", "done": "{{ body.type == 'end' }}",
    });
    let more = json!({
        "map": {"fields": {"finish_reason": "$.why"}, "usage": {"output_tokens": "$.usage.out"}},
        "auth": {"type": "bearer", "token": "{{ secrets.TOKEN }}"}, "headers": {"X-Own": "{{ input }}"}, "query": {"q": "1"},
    });
    let answer = invoke(&endpoint(&server.url, websocket, more)).await.unwrap();
    assert_eq!(
        (answer.output.clone(), answer.text.as_str(), answer.status),
        (json!("Hello"), "Hello", 101)
    );
    assert_eq!(answer.finish_reason().as_deref(), Some("stop"));
    assert_eq!(answer.usage["output_tokens"], 2.0);
    assert!(answer.ttft.is_some_and(|ttft| ttft <= answer.elapsed));
    assert_eq!(
        server.texts(),
        ["{\"hello\":\"hi\"}", "{\"n\":7,\"ask\":\"hi\"}", "go 7"]
    );
    assert_eq!(answer.request.body, Some(json!([{"n": 7, "ask": "hi"}, "go 7"])));
    assert_eq!(
        (answer.request.method.as_str(), answer.request.headers["X-Own"].as_str()),
        ("GET", "hi")
    );
    assert_eq!(answer.headers["sec-websocket-protocol"], "chat.v2");
    assert_eq!(
        server.header("authorization"),
        Some(format!("Bearer {}", fixture::TOKEN))
    );
    assert_eq!(
        server.header("sec-websocket-protocol").as_deref(),
        Some("chat.v1, chat.v2")
    );
    assert_eq!(server.header("x-testfleet-test").as_deref(), Some("t-1"));
    assert!(server.header("user-agent").unwrap().starts_with("testfleet/"));
    assert!(server.heads.lock().unwrap()[0].0.ends_with("/chat?q=1"));
    assert!(!format!("{answer:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn one_message_is_an_answer_as_json_as_text_or_by_its_mapping() {
    for (text, map, output) in [
        ("{\"a\": [1]}", json!({}), json!({"a": [1]})),
        ("plain words", json!({}), json!("plain words")),
        ("{\"a\": \"b\"}", json!({"output": "$.a"}), json!("b")),
        ("plain", json!({"output": "{{ text | upper }}"}), json!("PLAIN")),
    ] {
        let server = Server::start([Step::Expect, Step::Say(text.to_owned()), Step::Hang]).await;
        let answer = invoke(&endpoint(
            &server.url,
            json!({"send": ["{{ input }}"]}),
            json!({"map": map}),
        ))
        .await
        .unwrap();
        assert_eq!(answer.output, output, "{text}");
    }
}

#[tokio::test]
async fn a_normal_close_ends_an_answer_that_may_end_so_and_no_other() {
    let steps = |code| [Step::Expect, say(json!({"d": "a"})), Step::Close(code, "over")];
    let websocket = |on_close: bool| json!({"send": ["x"], "append": "$.d", "done": if on_close { Value::Null } else { json!("[DONE]") }, "done_on_close": on_close});
    let server = Server::start(steps(1000)).await;
    let answer = invoke(&endpoint(&server.url, websocket(true), json!({})))
        .await
        .unwrap();
    assert_eq!(answer.output, json!("a"));
    for (code, on_close, expected) in [
        (
            1000,
            false,
            "before the answer was complete, with code 1000 (normal closure): over",
        ),
        (1011, true, "with code 1011 (internal error): over"),
        (4321, true, "with code 4321: over"),
    ] {
        let server = Server::start(steps(code)).await;
        let error = invoke(&endpoint(&server.url, websocket(on_close), json!({})))
            .await
            .unwrap_err();
        assert_eq!(
            (error.detail.class, error.retry),
            (ErrorClass::Protocol, RetryAdvice::Backoff)
        );
        assert!(error.detail.message.contains(expected), "{}", error.detail.message);
        assert!(error.detail.body.unwrap().contains("\"d\""));
    }
}

#[tokio::test]
async fn what_goes_wrong_has_its_class_and_a_sentence() {
    let pieces = json!({"send": ["x"], "append": "$.d", "done": "$.done", "error": "$.oops"});
    let ready = json!({"send": ["x"], "ready": "$.ready", "error": "$.oops"});
    for (steps, websocket, class, message) in [
        (
            vec![say(json!({"oops": "no"}))],
            &pieces,
            ErrorClass::ErrorWhen,
            "message 1 reports an error",
        ),
        (
            vec![say(json!({"oops": "no"}))],
            &ready,
            ErrorClass::ErrorWhen,
            "message 1 reports an error",
        ),
        (
            vec![say(json!({"error": {"message": "bad"}}))],
            &pieces,
            ErrorClass::ErrorWhen,
            "message 1 reports an error: bad",
        ),
        (
            vec![Step::Say("{".into())],
            &pieces,
            ErrorClass::Mapping,
            "message 1 is not JSON",
        ),
        (
            vec![say(json!({"d": 1}))],
            &pieces,
            ErrorClass::Mapping,
            "websocket.append could not be applied",
        ),
        (
            vec![say(json!({"done": true}))],
            &pieces,
            ErrorClass::Mapping,
            "websocket.append selects nothing in any message",
        ),
        (
            vec![Step::Send(Message::binary(vec![0; 9]))],
            &pieces,
            ErrorClass::Mapping,
            "a binary message of 9 bytes",
        ),
        (
            vec![say(json!({"d": "x".repeat(2000)}))],
            &pieces,
            ErrorClass::TooLarge,
            "a message of the WebSocket is larger than 1000 bytes",
        ),
        (
            vec![Step::Flood(Message::text("{\"d\":\"0123456789\"}"))],
            &pieces,
            ErrorClass::TooLarge,
            "the text of the stream is larger than 1000 bytes",
        ),
        (
            vec![Step::Flood(Message::text("{}"))],
            &pieces,
            ErrorClass::TooLarge,
            "the messages are larger than 16000 bytes together",
        ),
        (
            vec![Step::Flood(Message::text("{}"))],
            &ready,
            ErrorClass::TooLarge,
            "the messages are larger than 16000 bytes together",
        ),
        (
            vec![Step::Flood(Message::Ping(Vec::new().into()))],
            &pieces,
            ErrorClass::TooLarge,
            "the messages are larger than 16000 bytes together",
        ),
        (vec![Step::Drop], &pieces, ErrorClass::Protocol, ""),
        (
            vec![Step::Raw(b"\xff\xff\xff this is garbage".to_vec())],
            &pieces,
            ErrorClass::Protocol,
            "the call broke off",
        ),
        // A text frame of invalid UTF-8.
        (
            vec![Step::Raw(vec![0x81, 2, 0xff, 0xfe])],
            &pieces,
            ErrorClass::Protocol,
            "the call broke off",
        ),
        // A frame that says it is 2^62 bytes long.
        (
            vec![Step::Raw([&[0x81, 127][..], &(1_u64 << 62).to_be_bytes()].concat())],
            &pieces,
            ErrorClass::TooLarge,
            "larger than 1000 bytes",
        ),
    ] {
        let server = Server::start([vec![Step::Expect; usize::from(websocket == &pieces)], steps].concat()).await;
        let error = invoke(&endpoint(&server.url, websocket.clone(), json!({})))
            .await
            .unwrap_err();
        assert_eq!(error.detail.class, class, "{message}: {}", error.detail.message);
        assert!(
            error.detail.message.contains(message),
            "{message}: {}",
            error.detail.message
        );
        assert!(error.request.is_some());
    }
}

#[tokio::test]
async fn silence_is_a_timeout_by_the_limit_it_exceeds() {
    let pieces = json!({"send": ["x"], "append": "$.d", "done": "$.done"});
    let timeouts = |key: &str, attempt: &str| {
        let mut timeouts = json!({"connect": "10s", "attempt": attempt});
        if !key.is_empty() {
            timeouts[key] = json!("100ms");
        }
        json!({"timeouts": timeouts})
    };
    let said = vec![Step::Expect, say(json!({"d": "a"})), Step::Hang];
    for (steps, key, attempt, expected) in [
        (vec![Step::Hang], "first_byte", "30s", "timeouts.first_byte (100ms)"),
        (said.clone(), "idle", "30s", "timeouts.idle (100ms)"),
        (said, "", "200ms", "timeouts.attempt (200ms)"),
    ] {
        let server = Server::start(steps).await;
        let error = invoke(&endpoint(&server.url, pieces.clone(), timeouts(key, attempt)))
            .await
            .unwrap_err();
        assert_eq!(error.detail.class, ErrorClass::Timeout);
        assert!(error.detail.message.contains(expected), "{}", error.detail.message);
    }
}

#[tokio::test]
async fn a_handshake_that_is_refused_is_a_status() {
    let server = Server::start([]).await;
    let url = format!("{}?refuse", server.url);
    let error = invoke(&endpoint(&url, json!({"send": ["x"]}), json!({})))
        .await
        .unwrap_err();
    assert_eq!(
        (error.detail.class, error.detail.http_status),
        (ErrorClass::Status, Some(503))
    );
    assert_eq!(error.detail.body.as_deref(), Some("{\"error\":\"busy\"}"));
    assert_eq!(error.retry, RetryAdvice::After(std::time::Duration::from_secs(7)));
    assert_eq!(error.hold, Some(std::time::Duration::from_secs(7)));
}

#[tokio::test]
async fn what_is_no_websocket_is_said_so() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 101 X\r\n\r\n",
    ] {
        let server = fixture::Raw::serve(answer, true).await;
        let url = server.url.replace("http", "ws");
        let error = invoke(&endpoint(&url, json!({"send": ["x"]}), json!({})))
            .await
            .unwrap_err();
        let expected = if answer.contains("200") {
            ErrorClass::Status
        } else {
            ErrorClass::Protocol
        };
        assert_eq!(error.detail.class, expected, "{answer}: {}", error.detail.message);
    }
    let many = format!("HTTP/1.1 101 X\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    for answer in [many, format!("HTTP/1.1 101 X\r\nx: {}\r\n\r\n", "y".repeat(1 << 20))] {
        let server = fixture::Raw::serve(answer, true).await;
        let url = server.url.replace("http", "ws");
        let error = invoke(&endpoint(&url, json!({"send": ["x"]}), json!({})))
            .await
            .unwrap_err();
        assert_eq!(error.detail.class, ErrorClass::Protocol, "{}", error.detail.message);
    }
}

#[tokio::test]
async fn the_egress_policy_holds_for_websockets() {
    let server = Server::start([Step::Expect, say(json!("a"))]).await;
    let port: u16 = server
        .url
        .trim_end_matches("/chat")
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0x7f.1"] {
        let url = format!("ws://{host}:{port}/");
        let target = compile_with(
            &endpoint(&url, json!({"send": ["x"]}), json!({})),
            Egress::public_only(),
            b"",
        )
        .unwrap();
        let error = invoke_target(&target, &test_case(json!({}))).await.unwrap_err();
        assert_eq!(
            error.detail.class,
            ErrorClass::Egress,
            "{host}: {}",
            error.detail.message
        );
    }
    assert!(server.heads.lock().unwrap().is_empty(), "nobody was called");
}

#[tokio::test]
async fn a_long_message_waits_for_its_memory_and_a_short_one_does_not() {
    let long = json!({"d": "x".repeat(300 * 1024), "done": true});
    let server = Server::start([Step::Expect, say(long)]).await;
    let endpoint = endpoint(
        &server.url,
        json!({"send": ["x"], "append": "$.d", "done": "$.done"}),
        json!({}),
    );
    let context = testfleet_endpoint::CompileContext {
        secrets: &fixture::secrets(),
        egress: Egress::public_only().allow_loopback(true),
        limits: testfleet_endpoint::Limits::default(),
        root_certificates: b"",
    };
    let target = Arc::new(testfleet_endpoint::Target::compile(&endpoint, context).unwrap());
    let memory = AnswerMemory::new(64 << 20);
    let mut first = memory.share();
    fixture::invoke_within(&target, &test_case(json!({})), &mut first)
        .await
        .unwrap();
    assert_eq!(memory.in_use().reading, 2 << 20, "the call still has its share");
    drop(first);
    assert_eq!(memory.in_use().reading, 0);
}

#[test]
fn problems_are_found_before_anything_is_called() {
    let websocket = json!({"send": ["{{ nothing }}"], "open": ["{{"], "ready": "$.[", "append": "$[", "done": "{{ x(", "error": "{{ y"});
    let more = json!({"headers": {"Sec-WebSocket-Protocol": "a"}, "tls": {"ca": "{{ secrets.NOPE }}"}});
    let problems = compile(&endpoint("ws://127.0.0.1/", websocket, more)).unwrap_err();
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    for key in [
        "endpoint.websocket.send[0]",
        "endpoint.websocket.open[0]",
        "endpoint.websocket.ready",
        "endpoint.websocket.append",
        "endpoint.websocket.done",
        "endpoint.websocket.error",
        "endpoint.headers.Sec-WebSocket-Protocol",
        "endpoint.tls.ca",
    ] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
}
