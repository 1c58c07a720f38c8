//! Endpoints, targets and servers that misbehave on purpose.

use std::collections::BTreeMap;
use std::io;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use testfleet_endpoint::{
    AnswerShare, Call, CompileContext, CompileProblem, Egress, Invocation, InvokeError, Limits, Lookup, Secrets, Target,
};
use testfleet_model::RunId;
use testfleet_model::configuration::{Endpoint, Retry, SecretSpec, TestCase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) const RUN: &str = "0197c5a2-7b7e-7000-8000-000000000001";
pub(crate) const TOKEN: &str = "s3cr3t/t0ken+=";

/// An endpoint with these keys in addition to the necessary ones.
pub(crate) fn endpoint(url: &str, more: Value) -> Endpoint {
    let mut document = json!({"type": "http", "url": url, "method": "POST", "retry": Retry::default()});
    let more = more.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(more);
    serde_json::from_value(document).unwrap()
}

/// Two secrets with values, one optional and one required without.
pub(crate) fn secrets() -> Secrets {
    let spec = |required| SecretSpec { required, from: None };
    let specs = BTreeMap::from([
        ("TOKEN".to_owned(), spec(true)),
        ("PASSWORD".to_owned(), spec(true)),
        ("OPTIONAL".to_owned(), spec(false)),
        ("MISSING".to_owned(), spec(true)),
    ]);
    Secrets::resolve(&specs, &Environment)
}

struct Environment;

impl Lookup for Environment {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some(TOKEN.into()),
            "PASSWORD" => Some("pa:ss\"wörd".into()),
            _ => None,
        }
    }

    fn file(&self, _: &str) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

pub(crate) fn compile(endpoint: &Endpoint) -> Result<Target, Vec<CompileProblem>> {
    compile_with(endpoint, Egress::public_only().allow_loopback(true), b"")
}

pub(crate) fn compile_with(endpoint: &Endpoint, egress: Egress, roots: &[u8]) -> Result<Target, Vec<CompileProblem>> {
    let context = CompileContext {
        secrets: &secrets(),
        egress,
        limits: Limits {
            max_body_bytes: 1000,
            ..Limits::default()
        },
        root_certificates: roots,
    };
    Target::compile(endpoint, context)
}

/// One attempt of a test.
pub(crate) async fn invoke(endpoint: &Endpoint, test: &TestCase) -> Result<Invocation, InvokeError> {
    invoke_target(&compile(endpoint).unwrap(), test).await
}

pub(crate) async fn invoke_target(target: &Target, test: &TestCase) -> Result<Invocation, InvokeError> {
    invoke_in_epoch(target, test, 1).await
}

pub(crate) async fn invoke_in_epoch(target: &Target, test: &TestCase, epoch: u32) -> Result<Invocation, InvokeError> {
    invoke_as(target, test, epoch, &mut AnswerShare::default()).await
}

pub(crate) async fn invoke_within(
    target: &Target,
    test: &TestCase,
    share: &mut AnswerShare,
) -> Result<Invocation, InvokeError> {
    invoke_as(target, test, 1, share).await
}

async fn invoke_as(
    target: &Target,
    test: &TestCase,
    epoch: u32,
    share: &mut AnswerShare,
) -> Result<Invocation, InvokeError> {
    let captured: Map<_, _> = [("conversation".to_owned(), json!("c-1"))].into_iter().collect();
    let call = Call {
        run: &RUN.parse::<RunId>().unwrap(),
        run_name: "regression",
        test,
        index: 4,
        epoch,
        attempt: 2,
        captured: &captured,
        now: DateTime::<Utc>::UNIX_EPOCH,
    };
    target.invoke_within(&call, share).await
}

pub(crate) fn test_case(document: Value) -> TestCase {
    let mut test = json!({"id": "t-1"});
    test.as_object_mut()
        .unwrap()
        .extend(document.as_object().unwrap().clone());
    serde_json::from_value(test).unwrap()
}

/// A server that answers every request with these bytes; then closes the connection, or keeps it open in silence.
pub(crate) struct Raw {
    pub(crate) url: String,
    server: JoinHandle<()>,
}

impl Raw {
    pub(crate) async fn serve(answer: impl Into<Vec<u8>>, close: bool) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
                if close {
                    let _ = stream.shutdown().await;
                } else {
                    open.push(stream);
                }
            }
        });
        Self { url, server }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.server.abort();
    }
}
