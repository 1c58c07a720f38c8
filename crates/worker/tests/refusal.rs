//! A server that does not answer, or refuses: ERROR-CLASSES. The worker waits it out, goes on by itself
//! (PROGRESS-AFTER-HEAL), and its log stays short however long that takes.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::log::Log;
use support::{options, plain, store, submit, summary};
use testfleet_bootstrap::settings::Settings;
use testfleet_model::RunId;
use testfleet_testkit::{TestRedis, TestRedisOptions, wait_for};
use testfleet_worker::{Health, NoOpExecutor, Question, Verdict, Worker};
use tracing::Level;

const MINUTE: Duration = Duration::from_secs(60);

/// Says these words to the server.
async fn tell(redis: &TestRedis, words: &[&str]) {
    let mut command = deadpool_redis::redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    let _: Result<deadpool_redis::redis::Value, _> = command.query_async(&mut redis.connection().await).await;
}

/// A way to break a server, what the worker calls it, and how to mend it.
struct Trouble {
    name: &'static str,
    breaks: &'static [&'static [&'static str]],
    mends: &'static [&'static [&'static str]],
    level: Level,
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        name: "a replica",
        breaks: &[&["REPLICAOF", "127.0.0.1", "1"]],
        mends: &[&["REPLICAOF", "NO", "ONE"]],
        level: Level::WARN,
    },
    Trouble {
        name: "a user without rights",
        breaks: &[&["ACL", "SETUSER", "default", "-fcall", "-eval", "-blpop"]],
        mends: &[&["ACL", "SETUSER", "default", "+@all"]],
        level: Level::ERROR,
    },
    Trouble {
        name: "no connection left",
        breaks: &[
            &["CONFIG", "SET", "maxclients", "1"],
            &["CLIENT", "KILL", "TYPE", "normal"],
        ],
        mends: &[],
        level: Level::WARN,
    },
];

/// ERROR-CLASSES: one line when it begins and one when it ends; a line a minute between them is in `outage.rs`.
#[tokio::test]
async fn trouble_of_the_server_is_told_in_two_lines_and_the_worker_goes_on() {
    for trouble in TROUBLES {
        let (log, _guard) = Log::keep();
        let redis = TestRedis::start();
        let mut admin = redis.connection().await;
        let store = store(&redis);
        let worker = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
        let first = submit(&store, &plain(3), MINUTE).await;
        assert_eq!(summary(&store, first).await.tests_passed, 3);
        for words in trouble.breaks {
            ask(&mut admin, words).await;
        }
        let begins = wait_for(trouble.name, async || log.lines(trouble.level, &["the store "]).pop()).await;
        // Every loop has met it several times.
        wait_for("many failures", async || {
            (log.lines(Level::DEBUG, &["the store still does not do it"]).len() >= 10).then_some(())
        })
        .await;
        let told = log.lines(Level::WARN, &["the store "]).len() + log.lines(Level::ERROR, &["the store "]).len();
        assert_eq!(told, 1, "{}: {begins}; {:?}", trouble.name, log.seen());
        for words in trouble.mends {
            ask(&mut admin, words).await;
        }
        if trouble.mends.is_empty() {
            ask(&mut admin, &["CONFIG", "SET", "maxclients", "100"]).await;
        }
        let again = wait_for("the server to take a run", async || {
            store.now_ms().await.ok()?;
            Some(submit(&store, &plain(3), MINUTE).await)
        })
        .await;
        assert_eq!(summary(&store, again).await.tests_passed, 3, "{}", trouble.name);
        wait_for("the end to be told", async || {
            log.lines(Level::INFO, &["the store answers again"]).pop()
        })
        .await;
        assert!(!worker.stop().await.failed);
    }
}

async fn ask(connection: &mut deadpool_redis::redis::aio::MultiplexedConnection, words: &[&str]) {
    let mut command = deadpool_redis::redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    let _: Result<deadpool_redis::redis::Value, _> = command.query_async(connection).await;
}

/// WRONGTYPE under a key that all runs share is an alarm and not a crash loop; without the key everything goes on.
#[tokio::test]
async fn other_data_under_our_keys_is_an_alarm_and_not_a_crash_loop() {
    let (log, _guard) = Log::keep();
    let redis = TestRedis::start();
    let store = store(&redis);
    let worker = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    let workers = store.keys().shard("workers");
    wait_for("the worker", async || {
        (store.worker_views().await.ok()?.len() == 1).then_some(())
    })
    .await;
    tell(&redis, &["SET", &workers, "something else"]).await;
    let line = wait_for("the alarm", async || {
        log.lines(Level::ERROR, &["other data under our keys", "WRONGTYPE"])
            .pop()
    })
    .await;
    wait_for("several tries", async || {
        (log.lines(Level::DEBUG, &["the store still does not do it"]).len() >= 5).then_some(())
    })
    .await;
    assert_eq!(log.lines(Level::ERROR, &[]).len(), 1, "{line}; {:?}", log.seen());
    tell(&redis, &["DEL", &workers]).await;
    let run: RunId = submit(&store, &plain(3), MINUTE).await;
    assert_eq!(summary(&store, run).await.tests_passed, 3);
    assert!(!worker.stop().await.failed);
}

/// NOAUTH: loud, slow, and over as soon as the password is there again.
#[tokio::test]
async fn a_password_that_was_changed_is_said_once_and_waited_for() {
    let (log, _guard) = Log::keep();
    let redis = TestRedisOptions::default().start();
    let mut admin = redis.connection().await;
    let store = store(&redis);
    let worker = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    let first = submit(&store, &plain(1), MINUTE).await;
    assert_eq!(summary(&store, first).await.tests_passed, 1);
    ask(&mut admin, &["CONFIG", "SET", "requirepass", "changed"]).await;
    ask(&mut admin, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    wait_for("the refusal", async || {
        log.lines(Level::ERROR, &["does not let us in"]).pop()
    })
    .await;
    wait_for("several tries", async || {
        (log.lines(Level::DEBUG, &["the store still does not do it"]).len() >= 5).then_some(())
    })
    .await;
    assert_eq!(log.lines(Level::ERROR, &[]).len(), 1, "{:?}", log.seen());
    ask(&mut admin, &["CONFIG", "SET", "requirepass", ""]).await;
    let again = wait_for("the server to take a run", async || {
        store.now_ms().await.ok()?;
        Some(submit(&store, &plain(1), MINUTE).await)
    })
    .await;
    assert_eq!(summary(&store, again).await.tests_passed, 1);
    worker.stop().await;
}

/// GRACEFUL, HONEST-HEALTH: before its server is there a worker says what it waits for, and stops at once.
#[tokio::test]
async fn a_worker_whose_server_is_not_there_yet_says_so_and_stops_at_once() {
    for hangs in [false, true] {
        let mut redis = TestRedis::start();
        let store = store(&redis);
        if hangs {
            redis.pause();
        } else {
            redis.kill();
        }
        let health = Arc::new(Health::new(&Settings::defaults()));
        let worker = Worker::with_executor(store, options(), NoOpExecutor)
            .watched_by(Arc::clone(&health))
            .start();
        if !hangs {
            wait_for("the reason", async || match health.verdict(Question::Ready) {
                Verdict::Red(reason) => reason.starts_with("not registered yet: register: ").then_some(()),
                Verdict::Green => panic!("there is no server"),
            })
            .await;
        }
        assert_eq!(health.verdict(Question::Live), Verdict::Green);
        let stopped = worker.stop().await;
        assert!(!stopped.failed);
        redis.resume();
    }
}
