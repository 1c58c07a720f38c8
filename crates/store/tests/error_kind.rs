//! What callers are told when the server does not do what it should (ERROR-CLASSES), and that the same store works
//! again afterwards without being built anew (F49, F52).

use std::time::Duration;

use testfleet_store::{Settled, Store, StoreErrorKind, StoreOptions, Want};
use testfleet_testkit::{TestRedis, TestRedisOptions, wait_for};

use crate::support::{Bench, JOB_LEASE, Spec, completion, id};

const SHORT: Duration = Duration::from_millis(200);

fn impatient(url: String) -> Store {
    let mut options = StoreOptions::new(url);
    options.response_timeout = SHORT;
    options.connect_timeout = SHORT;
    Store::new(&options).unwrap()
}

async fn kind(store: &Store) -> StoreErrorKind {
    let error = store.register("w1", JOB_LEASE, &Default::default()).await.unwrap_err();
    error.kind()
}

async fn works_again(store: &Store) {
    wait_for("the same store to work again", async || {
        store.register("w1", JOB_LEASE, &Default::default()).await.ok()
    })
    .await;
}

#[test]
fn a_url_that_is_none_is_refused_at_once() {
    for url in ["", "nonsense", "http://localhost", "redis://localhost:port"] {
        let error = Store::new(&StoreOptions::new(url)).err().unwrap();
        assert_eq!(error.kind(), StoreErrorKind::Defect, "{url}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_used_when_it_comes() {
    let mut redis = TestRedis::start();
    let store = impatient(redis.url());
    redis.kill();
    assert_eq!(kind(&store).await, StoreErrorKind::Unavailable);
    redis.restart();
    works_again(&store).await;
}

/// F49
#[tokio::test]
async fn a_server_that_was_killed_under_a_connection_is_unavailable_and_used_when_it_is_back() {
    let mut bench = Bench::over(TestRedis::persistent()).await;
    let run = bench.run(Spec::parallel(1, 3)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.redis.stop();
    let error = bench
        .store
        .claim(&seat, Want { tests: 1, control: 0 })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    bench.redis.restart();
    works_again(&bench.store).await;
    assert_eq!(
        bench.complete(&seat, &held).await,
        [Settled::Stored],
        "the right outlives the server"
    );
    assert_eq!(bench.store.run_view(run).await.unwrap().unwrap().done, 1);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let bench = Bench::start().await;
    bench.seat("w1").await;
    let () = bench.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    works_again(&bench.store).await;
}

/// Its late answers must not be taken for those of later calls.
#[tokio::test]
async fn a_frozen_server_is_unavailable_in_bounded_time_and_used_when_it_thaws() {
    let redis = TestRedis::start();
    let store = impatient(redis.url());
    store.register("w1", JOB_LEASE, &Default::default()).await.unwrap();
    redis.pause();
    for _ in 0..2 {
        assert_eq!(kind(&store).await, StoreErrorKind::Unavailable);
    }
    redis.resume();
    works_again(&store).await;
    for number in 1..=20 {
        let run = Spec::parallel(number, 1);
        assert_eq!(
            store.create(&run.new_run()).await.unwrap(),
            testfleet_store::Created::Created
        );
        assert_eq!(
            store.cancel(id(number)).await.unwrap(),
            testfleet_store::Cancelled::Cancelled
        );
    }
}

#[tokio::test]
async fn a_missing_or_wrong_password_is_unauthorised() {
    let redis = TestRedis::tcp();
    let () = deadpool_redis::redis::cmd("CONFIG")
        .arg("SET")
        .arg("requirepass")
        .arg("right")
        .query_async(&mut redis.connection().await)
        .await
        .unwrap();
    let without = impatient(redis.tcp_url());
    for _ in 0..3 {
        assert_eq!(kind(&without).await, StoreErrorKind::Unauthorised, "a long command");
        let short = without.deregister("w1").await.unwrap_err();
        assert_eq!(short.kind(), StoreErrorKind::Unauthorised, "{short}");
    }
    let with = |password: &str| redis.tcp_url().replace("redis://", &format!("redis://:{password}@"));
    assert_eq!(kind(&impatient(with("wrong"))).await, StoreErrorKind::Unauthorised);
    works_again(&impatient(with("right"))).await;
}

#[tokio::test]
async fn a_missing_permission_is_unauthorised() {
    let redis = TestRedis::tcp();
    let mut connection = redis.connection().await;
    let mut acl = deadpool_redis::redis::cmd("ACL");
    acl.arg("SETUSER")
        .arg("limited")
        .arg("on")
        .arg(">p")
        .arg("~*")
        .arg("+@connection");
    let () = acl.query_async(&mut connection).await.unwrap();
    let url = redis.tcp_url().replace("redis://", "redis://limited:p@");
    assert_eq!(kind(&impatient(url)).await, StoreErrorKind::Unauthorised);
}

/// F53's beginning: the primary became a replica under us.
#[tokio::test]
async fn a_replica_is_unavailable_and_its_connection_is_not_kept() {
    let bench = Bench::start().await;
    bench.seat("w1").await;
    let () = bench.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert_eq!(kind(&bench.store).await, StoreErrorKind::Unavailable);
    let () = bench.ask(&["REPLICAOF", "NO", "ONE"]).await;
    works_again(&bench.store).await;
}

#[tokio::test]
async fn a_server_without_room_for_clients_is_unavailable() {
    let redis = TestRedisOptions::default().setting("maxclients", "1").start();
    let _only = redis.connection().await;
    assert_eq!(kind(&impatient(redis.url())).await, StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn a_server_busy_with_somebody_elses_script_is_unavailable() {
    let bench = Bench::start().await;
    bench.seat("w1").await;
    let () = bench.ask(&["CONFIG", "SET", "busy-reply-threshold", "1"]).await;
    let mut connection = bench.connection().await;
    let endless = tokio::spawn(async move {
        let mut script = deadpool_redis::redis::cmd("EVAL");
        script.arg("while true do end").arg(0);
        script.query_async::<()>(&mut connection).await
    });
    wait_for("the server to be busy", async || {
        let error = bench.store.register("w1", JOB_LEASE, &Default::default()).await.err()?;
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        Some(())
    })
    .await;
    let () = bench.ask(&["SCRIPT", "KILL"]).await;
    endless.await.unwrap().unwrap_err();
    works_again(&bench.store).await;
}

/// Somebody else's data under our keys: loud, and no crash.
#[tokio::test]
async fn a_key_of_another_type_is_a_defect_and_the_store_goes_on() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let () = bench.ask(&["SET", &bench.key("delayed"), "text"]).await;
    let error = bench
        .store
        .claim(&seat, Want { tests: 1, control: 0 })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Defect, "{error}");
    assert!(error.to_string().starts_with("claim: "), "{error}");
    let () = bench.ask(&["DEL", &bench.key("delayed")]).await;
    assert_eq!(bench.claim(&seat, 1).await.len(), 1);
}

/// F52
#[tokio::test]
async fn a_server_that_forgets_its_functions_under_load_shows_no_error() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 300).cap(1_000)).await;
    let forgetting = {
        let mut connection = bench.connection().await;
        tokio::spawn(async move {
            for _ in 0..200 {
                let () = deadpool_redis::redis::cmd("FUNCTION")
                    .arg("FLUSH")
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let working = (0..4).map(|number| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let (seat, _) = store
                .register(&format!("w{number}"), JOB_LEASE, &Default::default())
                .await
                .unwrap();
            let one = Want { tests: 2, control: 0 };
            let mut results = Vec::new();
            let mut stored = 0;
            loop {
                let (settled, answer) = store.complete(&seat, &results, one).await.unwrap();
                stored += settled.len();
                let testfleet_store::ClaimAnswer::Claimed(claimed) = answer else {
                    panic!("registered")
                };
                if claimed.tests.is_empty() {
                    return stored;
                }
                results = claimed.tests.iter().map(completion).collect();
            }
        })
    });
    let mut stored = 0;
    for worker in working.collect::<Vec<_>>() {
        stored += worker.await.unwrap();
    }
    forgetting.await.unwrap();
    assert_eq!(stored, 300);
}

/// A server that answers every command with one error.
async fn refusing(error: &'static str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 65_536];
                while let Ok(count @ 1..) = socket.read(&mut buffer).await {
                    // A command begins with the number of its words, at the start of a line.
                    let text = format!("\r\n{}", String::from_utf8_lossy(&buffer[..count]));
                    let commands = text.matches("\r\n*").count();
                    let answers = format!("-{error}\r\n").repeat(commands);
                    if socket.write_all(answers.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn every_error_code_has_its_kind() {
    use StoreErrorKind::{Defect, Unauthorised, Unavailable};
    for (error, expected) in [
        ("LOADING Redis is loading the dataset in memory", Unavailable),
        ("BUSY Redis is busy running a script", Unavailable),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Unavailable),
        ("OOM command not allowed when used memory > 'maxmemory'.", Unavailable),
        ("MISCONF Redis is configured to save RDB snapshots", Unavailable),
        ("READONLY You can't write against a read only replica.", Unavailable),
        ("MASTERDOWN Link with MASTER is down", Unavailable),
        ("NOREPLICAS Not enough good replicas to write.", Unavailable),
        ("CLUSTERDOWN The cluster is down", Unavailable),
        ("ERR max number of clients reached", Unavailable),
        ("NOSCRIPT No matching script.", Unavailable),
        (
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
            Unavailable,
        ),
        ("NOAUTH Authentication required.", Unauthorised),
        (
            "WRONGPASS invalid username-password pair or user is disabled.",
            Unauthorised,
        ),
        (
            "NOPERM this user has no permissions to run the 'evalsha' command",
            Unauthorised,
        ),
        (
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            Defect,
        ),
        ("ERR unknown command 'EVALSHA'", Defect),
    ] {
        let store = impatient(refusing(error).await);
        for _ in 0..2 {
            assert_eq!(kind(&store).await, expected, "{error}");
        }
        let read = store.now_ms().await.unwrap_err();
        assert_eq!(read.kind(), expected, "{error}, of a plain command");
    }
}
