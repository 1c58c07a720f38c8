//! Reading what the server answers, also where it is damaged.

use deadpool_redis::redis::Value;

use crate::error::StoreError;

/// One part of an entry such as `worker|fence|attempt|lost|claimed_ms|begun_ms`.
pub(crate) fn part<T: std::str::FromStr>(entry: &Option<Vec<u8>>, at: usize) -> Option<T> {
    std::str::from_utf8(entry.as_deref()?)
        .ok()?
        .split('|')
        .nth(at)?
        .parse()
        .ok()
}

pub(super) fn read<T: deadpool_redis::redis::FromRedisValue>(
    call: &'static str,
    value: Option<Value>,
) -> Result<T, StoreError> {
    let value = value.ok_or_else(|| StoreError::Answer {
        call,
        detail: "it ended too early".to_owned(),
    })?;
    deadpool_redis::redis::from_redis_value(value).map_err(|error| StoreError::Answer {
        call,
        detail: error.to_string(),
    })
}

/// The same, with nothing instead of what has another type than it should: one damaged run does not keep operators from
/// seeing the others.
pub(super) fn read_sound<T>(call: &'static str, value: Option<Value>) -> Result<T, StoreError>
where
    T: deadpool_redis::redis::FromRedisValue + Default,
{
    match value {
        Some(Value::ServerError(error)) if error.code() == "WRONGTYPE" => Ok(T::default()),
        Some(Value::ServerError(error)) => Err(StoreError::Server {
            call,
            source: error.into(),
        }),
        value => read(call, value),
    }
}
