//! A whole database as readable values, for tests that compare everything before a call with everything after it.
//!
//! | type | shape |
//! |---|---|
//! | string | `"text"` |
//! | hash | `{"field": "value"}`, fields sorted |
//! | list | `["first", "second"]` |
//! | set | `{"set": ["a", "b"]}`, sorted |
//! | sorted set | `{"zset": [["member", 1.5]]}`, by score, then member |
//! | stream | `{"stream": [["1-0", {"field": "value"}]]}` |
//!
//! A key with an expiry is followed by `"<key> ttl": true`: the remaining time changes with every look, whether there is
//! one does not. Sets, sorted sets and streams carry their type, so that [`TestRedis::load`](crate::TestRedis::load) can tell them from lists and hashes
//! (whose values are never lists). Whole scores are integers, infinite ones are text. Bytes that are no UTF-8 are shown
//! with the replacement character.

use std::collections::BTreeMap;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Cmd, FromRedisValue, Value as Reply, cmd, pipe};
use serde_json::{Map, Value, json};

/// The expiry that [`load`] gives to a marked key: longer than every test.
const TTL_SECONDS: u64 = 3600;
const TTL_MARK: &str = " ttl";
/// Fields and values as Redis answers them.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Keys per SCAN step.
const SCAN_STEP: usize = 1000;

/// All keys that start with `prefix`, and what they hold.
pub(crate) async fn dump(connection: &mut MultiplexedConnection, prefix: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for key in keys(connection, prefix).await {
        // Gone since the scan: expired.
        let Some(value) = value_of(connection, &key).await else {
            continue;
        };
        let ttl: i64 = ask(connection, cmd("PTTL").arg(&key)).await;
        if ttl >= 0 {
            found.insert(format!("{key}{TTL_MARK}"), Value::Bool(true));
        }
        found.insert(key, value);
    }
    found
}

async fn keys(connection: &mut MultiplexedConnection, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = 0_u64;
    loop {
        let (next, page): (u64, Vec<Vec<u8>>) =
            ask(connection, cmd("SCAN").arg(cursor).arg("COUNT").arg(SCAN_STEP)).await;
        let page = page.iter().map(|key| text(key));
        // Compared here and not with MATCH: a prefix may contain the pattern's own characters.
        found.extend(page.filter(|key| key.starts_with(prefix)));
        if next == 0 {
            return found;
        }
        cursor = next;
    }
}

async fn value_of(connection: &mut MultiplexedConnection, key: &str) -> Option<Value> {
    let kind: String = ask(connection, cmd("TYPE").arg(key)).await;
    Some(match kind.as_str() {
        "string" => text(&ask::<Vec<u8>>(connection, cmd("GET").arg(key)).await).into(),
        "hash" => fields(ask(connection, cmd("HGETALL").arg(key)).await),
        "list" => texts(ask(connection, cmd("LRANGE").arg(key).arg(0).arg(-1)).await).into(),
        "set" => {
            let mut members = texts(ask(connection, cmd("SMEMBERS").arg(key)).await);
            members.sort();
            json!({ "set": members })
        }
        "zset" => {
            let members: Vec<(Vec<u8>, f64)> =
                ask(connection, cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES")).await;
            json!({ "zset": members.iter().map(|(member, value)| json!([text(member), score(*value)])).collect::<Vec<_>>() })
        }
        "stream" => {
            let entries: Vec<(String, Pairs)> = ask(connection, cmd("XRANGE").arg(key).arg("-").arg("+")).await;
            json!({ "stream": entries.into_iter().map(|(id, pairs)| json!([id, fields(pairs)])).collect::<Vec<_>>() })
        }
        "none" => return None,
        other => panic!("the key {key:?} has the type {other:?}, which the dump does not know"),
    })
}

/// Writes a state in the shape of a dump beside what is there; a key that exists already is replaced. All of it happens
/// at once, so that nobody who looks meanwhile sees a half of it.
pub(crate) async fn load(connection: &mut MultiplexedConnection, state: &Value) {
    let state = state.as_object().expect("a state is an object of keys");
    let mut commands = pipe();
    commands.atomic();
    for (key, value) in state.iter().filter(|(_, value)| !value.is_boolean()) {
        commands.cmd("DEL").arg(key);
        for command in commands_for(key, value) {
            commands.add_command(command);
        }
    }
    for (mark, _) in state.iter().filter(|(_, value)| value.is_boolean()) {
        let key = mark
            .strip_suffix(TTL_MARK)
            .unwrap_or_else(|| panic!("{mark:?}: only \"<key> ttl\" is true"));
        assert!(state.contains_key(key), "{mark:?}: the state has no such key");
        commands.cmd("EXPIRE").arg(key).arg(TTL_SECONDS);
    }
    let _: Vec<Reply> = commands
        .query_async(connection)
        .await
        .unwrap_or_else(|error| panic!("could not write to the test's Redis: {error}"));
}

fn commands_for(key: &str, value: &Value) -> Vec<Cmd> {
    match value {
        Value::Array(items) => items.iter().map(|item| command("RPUSH", key, [plain(item)])).collect(),
        Value::Object(object) => match typed(object) {
            Some(("set", members)) => members
                .iter()
                .map(|member| command("SADD", key, [plain(member)]))
                .collect(),
            Some(("zset", members)) => members.iter().map(|pair| command("ZADD", key, scored(pair))).collect(),
            Some((_, entries)) => entries
                .iter()
                .map(|entry| command("XADD", key, entry_words(entry)))
                .collect(),
            None => object
                .iter()
                .map(|(field, value)| command("HSET", key, [field.clone(), plain(value)]))
                .collect(),
        },
        other => vec![command("SET", key, [plain(other)])],
    }
}

fn typed(object: &Map<String, Value>) -> Option<(&'static str, &Vec<Value>)> {
    ["set", "zset", "stream"]
        .into_iter()
        .find_map(|kind| Some((kind, object.get(kind)?.as_array()?)))
}

fn command(name: &str, key: &str, words: impl IntoIterator<Item = String>) -> Cmd {
    let mut command = cmd(name);
    command.arg(key);
    for word in words {
        command.arg(word);
    }
    command
}

fn scored(pair: &Value) -> Vec<String> {
    vec![plain(&pair[1]), plain(&pair[0])]
}

fn entry_words(entry: &Value) -> Vec<String> {
    let fields = entry[1].as_object().expect("a stream entry is [id, {field: value}]");
    let pairs = fields.iter().flat_map(|(field, value)| [field.clone(), plain(value)]);
    std::iter::once(plain(&entry[0])).chain(pairs).collect()
}

/// Redis knows no numbers: `3` and `"3"` are the same to it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("expected text or a number, found {other}"),
    }
}

fn fields(pairs: Pairs) -> Value {
    let sorted: BTreeMap<String, String> = pairs.iter().map(|(field, value)| (text(field), text(value))).collect();
    json!(sorted)
}

fn texts(items: Vec<Vec<u8>>) -> Vec<String> {
    items.iter().map(|item| text(item)).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whole scores (times, counts) as integers, since `1` and `1.0` differ in JSON.
fn score(value: f64) -> Value {
    const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= LARGEST_EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
        return json!(value as i64);
    }
    if value.is_finite() {
        json!(value)
    } else {
        json!(value.to_string())
    }
}

async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, command: &Cmd) -> T {
    command
        .query_async(connection)
        .await
        .unwrap_or_else(|error| panic!("could not look at the test's Redis: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TestRedis;

    fn every_type() -> Value {
        json!({
            "tf:hash": {"a": "1", "b": "two"},
            "tf:hash ttl": true,
            "tf:list": ["z", "a", "z"],
            "tf:set": {"set": ["a", "b"]},
            "tf:stream": {"stream": [["1-0", {"event": "started"}], ["2-0", {"event": "ended"}]]},
            "tf:text": "hello",
            "tf:zset": {"zset": [["first", -1], ["half", 0.5], ["late", 1700000000123_u64], ["never", "inf"]]},
        })
    }

    #[tokio::test]
    async fn what_was_loaded_is_what_is_dumped() {
        let redis = TestRedis::start();
        redis.load(every_type()).await;
        assert_eq!(json!(redis.dump("").await), every_type());
    }

    #[tokio::test]
    async fn only_keys_with_the_prefix_are_shown_and_its_characters_mean_themselves() {
        let redis = TestRedis::start();
        redis.load(json!({"t*:a": "1", "tf:b": "2"})).await;
        assert_eq!(json!(redis.dump("t*").await), json!({"t*:a": "1"}));
    }

    #[tokio::test]
    async fn loading_replaces_its_keys_and_leaves_the_others() {
        let redis = TestRedis::start();
        redis.load(json!({"a": ["1"], "b": "kept"})).await;
        redis.load(json!({"a": ["2"]})).await;
        assert_eq!(json!(redis.dump("").await), json!({"a": ["2"], "b": "kept"}));
    }

    #[tokio::test]
    async fn numbers_may_be_written_as_numbers() {
        let redis = TestRedis::start();
        redis.load(json!({"count": 3, "run": {"total": 4}})).await;
        assert_eq!(
            json!(redis.dump("").await),
            json!({"count": "3", "run": {"total": "4"}})
        );
    }
}
