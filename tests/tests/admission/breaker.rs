//! An endpoint that is down is left alone, and called again when it is back.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use deadpool_redis::redis::cmd;
use serde_json::{Value, json};
use testfleet_stub::{Stub, StubSettings};
use testfleet_testkit::wait_for;
use testfleet_tests::{Ended, Fleet, FleetOptions, echo_suite};
use tokio::net::TcpSocket;

use crate::crew::Crew;

const TESTS: usize = 12;
const FAILURES: usize = 5;
const AT_ONCE: usize = 4;
/// How often it is found to be down before it is back.
const OPENED: usize = 3;

/// A suite for an endpoint at this address, which is not the fleet's own stub.
fn suite(address: SocketAddr) -> Value {
    let mut suite = echo_suite(&format!("http://{address}"), TESTS);
    suite["endpoint"]["id"] = json!("down");
    suite["endpoint"]["retry"] = json!({ "max_attempts": 50, "backoff": { "initial": "10ms", "max": "20ms" } });
    suite["endpoint"]["limits"] = json!({
        "max_concurrency": AT_ONCE,
        "breaker": { "failures": FAILURES, "cool_down": "100ms" },
    });
    suite
}

async fn start(address: SocketAddr) -> (Fleet, Crew, testfleet_model::RunId) {
    let options = FleetOptions::default().variable("TESTFLEET_EGRESS_ALLOW", &address.to_string());
    let fleet = Fleet::start(options);
    let crew = Crew::start(&fleet, 2).await;
    let run = fleet.submit(&suite(address)).await;
    wait_for("an endpoint that was found to be down", async || {
        (opened(&fleet).await >= OPENED).then_some(())
    })
    .await;
    (fleet, crew, run)
}

/// How often the breaker opened: what the endpoint's history says.
async fn opened(fleet: &Fleet) -> usize {
    let mut connection = fleet.redis.connection().await;
    let mut command = cmd("LRANGE");
    command.arg("tf:{0}:endpoint:down:history").arg(0).arg(-1);
    let history: Vec<String> = command.query_async(&mut connection).await.expect("an answer");
    history.iter().filter(|line| line.contains("open for")).count()
}

/// The first failures open it, with those under way at that time; after that one call at a time looks whether it is back.
fn allowed(opened: usize) -> usize {
    FAILURES + AT_ONCE - 1 + opened - 1
}

fn passed(ended: &Ended) {
    assert_eq!(ended.statuses()["Pass"], TESTS, "{:?}", ended.statuses());
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_is_left_alone_until_it_is_back() {
    // Bound and not listening: whoever connects is refused, and nobody else gets the port.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .expect("a free port");
    let address = socket.local_addr().expect("an address");
    let (fleet, _crew, run) = start(address).await;
    drop(socket);
    let back = Stub::start(StubSettings {
        listen: address,
        ..StubSettings::default()
    });
    let back = back.expect("the port that was reserved");
    let ended = fleet.ended(run).await;
    passed(&ended);
    let (opened, calls) = (opened(&fleet).await, back.calls().len());
    let attempts: u32 = ended.all_results().iter().map(|result| result.attempts).sum();
    let refused = usize::try_from(attempts).expect("some attempts") - calls;
    assert!(refused >= FAILURES + OPENED - 1, "{refused} attempts were refused");
    assert!(
        refused <= allowed(opened),
        "{refused} attempts were refused, opened {opened} times"
    );
    fleet.idle().await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_up_is_connected_to_no_more_than_it_has_to_be() {
    let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = door.local_addr().expect("an address");
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    // It ends with the process of the test.
    thread::spawn(move || {
        for connection in door.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    let (fleet, _crew, run) = start(address).await;
    fleet.store().cancel(run).await.expect("an answer");
    fleet.ended(run).await;
    fleet.idle().await;
    let (opened, seen) = (opened(&fleet).await, connections.load(Ordering::SeqCst));
    assert!(seen >= FAILURES + OPENED - 1, "{seen} connections");
    // One call may be looking whether it is back without having said so yet.
    assert!(seen <= allowed(opened + 1), "{seen} connections, opened {opened} times");
}
