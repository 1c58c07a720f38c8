//! The whole database at one instant, read in one step.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::cmd;
use serde_json::{Map, Value};

const READ: &str = r"
local found = {}
for _, name in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', name).ok
  local flat
  if kind == 'hash' then flat = redis.call('HGETALL', name)
  elseif kind == 'zset' then flat = redis.call('ZRANGE', name, 0, -1, 'WITHSCORES')
  elseif kind == 'set' then flat = redis.call('SMEMBERS', name)
  elseif kind == 'list' then flat = redis.call('LRANGE', name, 0, -1)
  else flat = { redis.call('GET', name) } end
  found[name] = flat
end
return cjson.encode(found)";

#[derive(Default)]
pub struct Snapshot {
    keys: Map<String, Value>,
}

impl Snapshot {
    pub async fn read(connection: &mut MultiplexedConnection) -> Self {
        let text: String = cmd("EVAL").arg(READ).arg(0).query_async(connection).await.unwrap();
        let keys = serde_json::from_str(&text).unwrap();
        Self { keys }
    }

    /// The members of a list or set, in order.
    pub fn list(&self, name: &str) -> Vec<String> {
        let items = self.keys.get(&format!("tf:{{0}}:{name}")).and_then(Value::as_array);
        let text = |item: &Value| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned);
        items.map_or_else(Vec::new, |items| items.iter().map(text).collect())
    }

    /// The members of a set, or those of a sorted set without their scores.
    pub fn set(&self, name: &str) -> BTreeSet<String> {
        self.list(name).into_iter().collect()
    }

    /// A hash, or a sorted set with its scores.
    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        let flat = self.list(name);
        flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    pub fn members(&self, name: &str) -> BTreeSet<String> {
        self.map(name).into_keys().collect()
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.list(name).into_iter().next()
    }

    /// Names of keys, the root left out.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().filter_map(|name| name.strip_prefix("tf:{0}:"))
    }
}
