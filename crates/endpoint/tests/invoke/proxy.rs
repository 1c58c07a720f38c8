//! Proxies: the configured one, and no other.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use testfleet_endpoint::{Egress, Invocation, InvokeError, Proxy};
use testfleet_model::result::ErrorClass;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fixture::{Raw, compile_with, endpoint, invoke_target, test_case};
use crate::server::{Reply, Server};

/// A proxy that connects to one server, whatever it is asked for, and keeps the heads of what it is asked.
struct Tunnel {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Tunnel {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (log, server) = (Arc::clone(&log), server.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match near.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8(head).unwrap();
                    log.lock().unwrap().push(head.clone());
                    let mut far = TcpStream::connect(server).await.unwrap();
                    if head.starts_with("CONNECT ") {
                        near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    } else {
                        far.write_all(head.as_bytes()).await.unwrap();
                    }
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { address, heads, task }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn call(url: &str, more: Value, egress: Egress) -> Result<Invocation, InvokeError> {
    let target = compile_with(&endpoint(url, more), egress, b"").unwrap();
    invoke_target(&target, &test_case(json!({"input": "hi"}))).await
}

fn through(address: &str, direct: &[&str]) -> Egress {
    let proxy = Proxy::new(&format!("http://ada:proxy-password@{address}"), direct).unwrap();
    Egress::with_rules(["api.test", "*.names.test"]).unwrap().through(proxy)
}

fn address(url: &str) -> String {
    url.split("//").nth(1).unwrap().trim_end_matches('/').to_owned()
}

#[tokio::test]
async fn a_call_goes_through_the_proxy_with_its_credentials_and_no_secret_comes_back() {
    let server = Server::always(Reply::of(200, "application/json", "{\"said\": \"proxy-password\"}")).await;
    let tunnel = Tunnel::to(address(&server.url)).await;
    let answer = call("http://api.test/x", json!({}), through(&tunnel.address, &[]))
        .await
        .unwrap();
    assert!(!format!("{answer:?}").contains("proxy-password"), "{answer:?}");
    let head = tunnel.heads().pop().unwrap().to_ascii_lowercase();
    assert!(head.starts_with("post http://api.test/x http/1.1\r\n"), "{head}");
    assert!(
        head.contains("proxy-authorization: basic ywrhonbyb3h5lxbhc3n3b3jk"),
        "{head}"
    );
    assert!(head.contains("host: api.test\r\n"), "{head}");
}

#[tokio::test]
async fn tls_and_websockets_go_through_a_tunnel() {
    let server = Raw::serve("no TLS and no WebSocket\r\n\r\n", true).await;
    let tunnel = Tunnel::to(address(&server.url)).await;
    let error = call("https://api.test/x", json!({}), through(&tunnel.address, &[]))
        .await
        .unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Connect, "{}", error.detail.message);
    let socket = json!({
        "type": "websocket", "method": "GET", "websocket": {"send": ["x"]},
        "response": {"format": "messages", "success": {"status": [{"first": 101, "last": 101}]}},
    });
    let error = call("ws://a.names.test/x", socket, through(&tunnel.address, &[]))
        .await
        .unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Protocol, "{}", error.detail.message);
    let heads = tunnel.heads();
    let asked: Vec<&str> = heads.iter().filter_map(|head| head.lines().next()).collect();
    assert_eq!(
        asked,
        ["CONNECT api.test:443 HTTP/1.1", "CONNECT a.names.test:80 HTTP/1.1"]
    );
    assert!(
        heads
            .iter()
            .all(|head| head.contains("roxy-") && head.contains("Basic YWRhOnByb3h5LXBhc3N3b3Jk"))
    );
}

#[tokio::test]
async fn what_is_asked_of_the_proxy_passes_the_policy_first() {
    let server = Server::always(Reply::of(200, "application/json", "1")).await;
    let tunnel = Tunnel::to(address(&server.url)).await;
    for url in [
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://localhost/",
        "https://127.1/",
        "http://0x7f.1/",
    ] {
        let error = call(url, json!({}), through(&tunnel.address, &[])).await.unwrap_err();
        assert_eq!(
            error.detail.class,
            ErrorClass::Egress,
            "{url}: {}",
            error.detail.message
        );
    }
    // What cannot be looked up cannot be checked.
    let error = call("http://no-such-name.invalid/", json!({}), through(&tunnel.address, &[]))
        .await
        .unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Connect);
    assert!(
        error
            .detail
            .message
            .contains("add no-such-name.invalid:80 to egress.allow"),
        "{}",
        error.detail.message
    );
    assert!(tunnel.heads().is_empty());
}

#[tokio::test]
async fn what_is_called_directly_does_not_meet_the_proxy() {
    let server = Server::always(Reply::of(200, "application/json", "1")).await;
    let tunnel = Tunnel::to(address(&server.url)).await;
    let egress = through(&tunnel.address, &["127.0.0.0/8"]).allow_loopback(true);
    call(&server.url, json!({}), egress).await.unwrap();
    assert!(tunnel.heads().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_of_class_connect_and_shows_no_password() {
    let proxy = Raw::serve(
        "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
        true,
    )
    .await;
    let egress = || through(&address(&proxy.url), &[]);
    let socket = json!({
        "type": "websocket", "method": "GET", "websocket": {"send": ["x"]},
        "response": {"format": "messages", "success": {"status": [{"first": 101, "last": 101}]}},
    });
    for (url, more) in [("wss://api.test/", socket), ("https://api.test/", json!({}))] {
        let error = call(url, more, egress()).await.unwrap_err();
        assert_eq!(
            error.detail.class,
            ErrorClass::Connect,
            "{url}: {}",
            error.detail.message
        );
        let shown = format!("{error:?}");
        assert!(!shown.contains("proxy-password") && !shown.contains("YWRh"), "{shown}");
    }
}
