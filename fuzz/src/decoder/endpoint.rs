//! Endpoints to give hostile input to.

use std::collections::BTreeMap;
use std::io;

use chrono::DateTime;
use serde_json::{Map, Value};
use testfleet_endpoint::{Call, CompileContext, CompileProblem, Egress, Limits, Lookup, Secrets, Target};
use testfleet_model::RunId;
use testfleet_model::configuration::{Endpoint, SecretSpec, TestCase};

use super::input::{SECRET, said};

/// Knows the one secret.
pub(super) struct Vault;

/// The one there is.
pub(super) const VAULT: Vault = Vault;

impl Lookup for Vault {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "TOKEN").then(|| SECRET.to_owned())
    }

    fn file(&self, _path: &str) -> io::Result<String> {
        Err(io::Error::other("there are no files here"))
    }
}

/// The declared secrets: one with a value, and an optional one without.
pub(super) fn secret_specs() -> BTreeMap<String, SecretSpec> {
    let spec = |required| SecretSpec { required, from: None };
    BTreeMap::from([("TOKEN".to_owned(), spec(true)), ("NONE".to_owned(), spec(false))])
}

/// An endpoint with every default, to be changed.
pub(super) fn endpoint() -> Endpoint {
    Endpoint::new("POST", "https://api.example.com/v1")
}

/// Compiles, or checks that every problem has its place.
pub(super) fn target(endpoint: &Endpoint, specs: &BTreeMap<String, SecretSpec>) -> Option<Target> {
    compiled(endpoint, specs, Egress::public_only())
}

/// The same for an endpoint of this machine that has no secrets but those in its text.
pub(super) fn local_target(endpoint: &Endpoint) -> Option<Target> {
    compiled(endpoint, &BTreeMap::new(), Egress::public_only().allow_loopback(true))
}

fn compiled(endpoint: &Endpoint, specs: &BTreeMap<String, SecretSpec>, egress: Egress) -> Option<Target> {
    let secrets = Secrets::resolve(specs, &VAULT);
    let context = CompileContext {
        secrets: &secrets,
        egress,
        limits: Limits {
            max_body_bytes: 64 * 1024,
            max_request_bytes: 256 * 1024,
        },
        root_certificates: &[],
    };
    let problems = match Target::compile(endpoint, context) {
        Ok(target) => return Some(target),
        Err(problems) => problems,
    };
    assert!(!problems.is_empty());
    problems.iter().for_each(placed);
    None
}

/// A problem has a key and a sentence.
pub(super) fn placed(problem: &CompileProblem) {
    assert!(!problem.key.is_empty(), "{problem:?}");
    said(&problem.message);
}

/// The run of all calls.
pub(super) fn run() -> RunId {
    RunId::new(uuid::Uuid::from_u128(0x0197_c5a2_7b7e_7000_8000_0000_0000_0001))
}

/// A test that asks something.
pub(super) fn question() -> TestCase {
    TestCase {
        id: "t".to_owned(),
        input: Some("a question".to_owned()),
        ..TestCase::default()
    }
}

/// The third attempt of a test.
pub(super) fn call<'a>(run: &'a RunId, test: &'a TestCase, captured: &'a Map<String, Value>) -> Call<'a> {
    Call {
        run,
        run_name: "fuzz",
        test,
        index: 7,
        epoch: 2,
        attempt: 3,
        captured,
        now: DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000),
    }
}
