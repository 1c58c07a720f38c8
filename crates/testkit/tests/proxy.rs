//! The proxy in front of a real server: what it counts, and what happens at which point.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use deadpool_redis::redis::{AsyncCommands, Client, cmd, pipe};
use testfleet_testkit::{CommandProxy, Point, TestRedis, Then, wait_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client without a library, to send any bytes in any pieces.
struct Raw(TcpStream);

impl Raw {
    async fn connect(proxy: &CommandProxy) -> Self {
        let stream = TcpStream::connect(proxy.url().trim_start_matches("redis://"))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Reads exactly what is expected.
    async fn expect(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        self.0.read_exact(&mut bytes).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    /// Whether the other side has closed the connection, without a further byte.
    async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        // A reset is a close with something unread.
        !matches!(self.0.read(&mut byte).await, Ok(read) if read > 0)
    }
}

fn command(words: &[&str]) -> String {
    let words: String = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()))
        .collect();
    format!("*{}\r\n{words}", words.matches('$').count())
}

async fn value(redis: &TestRedis) -> Option<i64> {
    redis.connection().await.get("n").await.unwrap()
}

#[tokio::test]
async fn a_pipeline_is_understood_wherever_it_is_split() {
    let redis = TestRedis::start();
    let proxy = CommandProxy::start(&redis).await;
    let sent = [
        command(&["SET", "k", "a\r\nb"]),
        command(&["GET", "k"]),
        "PING\r\n".to_owned(),
        command(&["GET", "none"]),
        command(&["EVAL", "return {1, {'x', 2}}", "0"]),
        command(&["NONSENSE"]),
    ]
    .concat();
    let replies = "+OK\r\n$4\r\na\r\nb\r\n+PONG\r\n$-1\r\n*2\r\n:1\r\n*2\r\n$1\r\nx\r\n:2\r\n-ERR unknown command";
    for split in 0..=sent.len() {
        proxy.count(|_| true);
        let mut client = Raw::connect(&proxy).await;
        let (first, second) = sent.as_bytes().split_at(split);
        client.send(first).await;
        // The two halves must not be read at once; the proxy may not have read the first one yet all the same.
        tokio::task::yield_now().await;
        client.send(second).await;
        client.expect(replies).await;
        let names: Vec<String> = proxy.counted().iter().map(testfleet_testkit::Command::name).collect();
        assert_eq!(
            names,
            ["SET", "GET", "PING", "GET", "EVAL", "NONSENSE"],
            "split at {split}"
        );
    }
    let mut client = Raw::connect(&proxy).await;
    for byte in sent.as_bytes() {
        client.send(&[*byte]).await;
    }
    client.expect(replies).await;
}

#[tokio::test]
async fn values_of_megabytes_pass_unchanged() {
    let redis = TestRedis::start();
    let proxy = CommandProxy::start(&redis).await;
    let mut connection = Client::open(proxy.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let large = vec![b'\r'; 3_000_001];
    let () = connection.set("k", &large).await.unwrap();
    let (one, two): (Vec<u8>, Vec<u8>) = pipe().get("k").get("k").query_async(&mut connection).await.unwrap();
    assert!(one == large && two == large);
}

#[tokio::test]
async fn exactly_the_nth_command_that_is_counted_is_met_on_whatever_connection_it_comes() {
    let redis = TestRedis::start();
    let proxy = CommandProxy::start(&redis).await;
    for wanted in 1..=6_u64 {
        proxy.count(|command| command.name() == "INCRBY" && command.argument(1) == "n");
        let met = Arc::new(AtomicU32::new(0));
        let meeting = Arc::clone(&met);
        proxy.arm(wanted, Point::Before, move |command| {
            assert_eq!(command.argument(2), wanted.to_string());
            meeting.fetch_add(1, Ordering::Relaxed);
            Then::Continue
        });
        let mut clients = [Raw::connect(&proxy).await, Raw::connect(&proxy).await];
        for nth in 1..=6_u64 {
            let client = &mut clients[usize::try_from(nth % 2).unwrap()];
            let both = command(&["INCRBY", "other", "1"]) + &command(&["INCRBY", "n", &nth.to_string()]);
            assert_eq!(proxy.has_sprung(), nth > wanted);
            client.send(both.as_bytes()).await;
            let mut line = [0; 8];
            let read = client.0.read(&mut line).await.unwrap();
            assert!(read > 0);
            // The second reply is there when the second command is counted and answered.
            wait_for("the count", async || {
                (proxy.counted().len() as u64 == nth).then_some(())
            })
            .await;
        }
        proxy.sprung().await;
        assert_eq!(met.load(Ordering::Relaxed), 1, "the {wanted}th, and only that");
    }
}

/// What a client and the server have after the second of three `INCR n`, sent on one connection while a second one idles.
async fn at_the_second(point: Point, then: Then) -> (TestRedis, CommandProxy, Raw, Raw) {
    let redis = TestRedis::start();
    let proxy = CommandProxy::start(&redis).await;
    let mut bystander = Raw::connect(&proxy).await;
    bystander.send(command(&["PING"]).as_bytes()).await;
    bystander.expect("+PONG\r\n").await;
    proxy.count(|command| command.name() == "INCR");
    proxy.arm(2, point, move |_| then);
    let mut client = Raw::connect(&proxy).await;
    client.send(command(&["INCR", "n"]).as_bytes()).await;
    client.expect(":1\r\n").await;
    client.send(command(&["INCR", "n"]).as_bytes()).await;
    (redis, proxy, client, bystander)
}

#[tokio::test]
async fn a_cut_at_each_point_loses_what_it_should_and_only_that_connection() {
    for (point, executed, replied) in [
        (Point::Before, 1, false),
        (Point::Executed, 2, false),
        (Point::After, 2, true),
    ] {
        for then in [Then::Cut, Then::CutAll] {
            let (redis, proxy, mut client, mut bystander) = at_the_second(point, then).await;
            if replied {
                client.expect(":2\r\n").await;
            }
            assert!(client.is_closed().await, "{point:?} {then:?}");
            assert!(proxy.has_sprung());
            assert_eq!(value(&redis).await, Some(executed), "{point:?} {then:?}");
            if then == Then::CutAll {
                assert!(bystander.is_closed().await);
            } else {
                bystander.send(command(&["PING"]).as_bytes()).await;
                bystander.expect("+PONG\r\n").await;
            }
            // Who comes back is served, and nothing happens a second time.
            let mut again = Raw::connect(&proxy).await;
            again.send(command(&["INCR", "n"]).as_bytes()).await;
            again.expect(&format!(":{}\r\n", executed + 1)).await;
        }
    }
}

#[tokio::test]
async fn what_is_held_goes_on_where_it_stood() {
    for (point, executed) in [(Point::Before, 1), (Point::Executed, 2), (Point::After, 2)] {
        let (redis, proxy, mut client, mut bystander) = at_the_second(point, Then::Hold).await;
        proxy.sprung().await;
        client.send(command(&["INCR", "n"]).as_bytes()).await;
        // Others are served meanwhile, so the server has had its time.
        bystander.send(command(&["PING"]).as_bytes()).await;
        bystander.expect("+PONG\r\n").await;
        assert_eq!(value(&redis).await, Some(executed), "{point:?}");
        let replies = if point == Point::After {
            vec![":1\r\n", ":2\r\n"]
        } else {
            vec![":1\r\n"]
        };
        // Those of the bystander are recorded as well, sooner or later.
        let counted = || -> Vec<String> {
            let all = proxy.replies().into_iter();
            all.filter(|reply| reply != "+PONG\r\n").collect()
        };
        assert_eq!(counted(), replies, "what the client had by then");
        proxy.release();
        client.expect(":2\r\n:3\r\n").await;
        assert_eq!(counted(), [":1\r\n", ":2\r\n", ":3\r\n"]);
        assert_eq!(value(&redis).await, Some(3));
    }
}

#[tokio::test]
async fn an_action_that_lets_it_go_on_changes_nothing() {
    for point in Point::ALL {
        let (redis, proxy, mut client, _bystander) = at_the_second(point, Then::Continue).await;
        client.expect(":2\r\n").await;
        proxy.sprung().await;
        assert_eq!(value(&redis).await, Some(2));
    }
}

#[tokio::test]
async fn what_is_disarmed_does_not_happen_and_what_has_begun_cannot_be_disarmed() {
    let redis = TestRedis::start();
    let proxy = CommandProxy::start(&redis).await;
    let mut client = Raw::connect(&proxy).await;
    assert!(!proxy.disarm(), "nothing is armed");
    proxy.arm(1, Point::Before, |_| Then::Cut);
    assert!(proxy.disarm());
    client.send(command(&["PING"]).as_bytes()).await;
    client.expect("+PONG\r\n").await;
    proxy.count(|_| true);
    proxy.arm(1, Point::Before, |_| Then::Hold);
    client.send(command(&["PING"]).as_bytes()).await;
    proxy.sprung().await;
    assert!(!proxy.disarm());
    proxy.release();
    client.expect("+PONG\r\n").await;
}

#[tokio::test]
async fn all_connections_can_be_cut_at_any_time() {
    let redis = TestRedis::start();
    let proxy = CommandProxy::start(&redis).await;
    let mut client = Raw::connect(&proxy).await;
    client.send(command(&["PING"]).as_bytes()).await;
    client.expect("+PONG\r\n").await;
    proxy.cut_all();
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_push_is_nobodys_reply() {
    let redis = TestRedis::start();
    let proxy = CommandProxy::start(&redis).await;
    let url = format!("{}?protocol=resp3", proxy.url());
    let (told, mut pushes) = tokio::sync::mpsc::unbounded_channel();
    let config = deadpool_redis::redis::AsyncConnectionConfig::new().set_push_sender(told);
    let client = Client::open(url).unwrap();
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap();
    let () = cmd("CLIENT")
        .arg("TRACKING")
        .arg("ON")
        .query_async(&mut connection)
        .await
        .unwrap();
    let mut writer = redis.connection().await;
    proxy.count(|command| command.name() == "INCRBY");
    proxy.arm(3, Point::Executed, |_| Then::Cut);
    for nth in 1..=2_i64 {
        let _: Option<i64> = connection.get("watched").await.unwrap();
        let () = writer.set("watched", nth).await.unwrap();
        let push = tokio::time::timeout(Duration::from_secs(30), pushes.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(push.kind, deadpool_redis::redis::PushKind::Invalidate);
        let counted: i64 = connection.incr("n", 1).await.unwrap();
        assert_eq!(counted, nth);
    }
    let cut: Result<i64, _> = connection.incr("n", 1).await;
    assert!(cut.is_err());
    assert_eq!(value(&redis).await, Some(3));
}
