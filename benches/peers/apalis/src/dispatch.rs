//! Enqueues the jobs of a run.

use std::time::Duration;

use apalis::prelude::{BoxDynError, TaskSink};
use redis::AsyncCommands;

use crate::job::{Job, now};
use crate::setting::Setting;

/// Jobs of one `push_bulk`.
const SLICE: u64 = 1_000;
/// Jobs that may be outstanding: a script of apalis unpacks all that is scheduled in one call, and Lua bounds that to some
/// thousand values.
const OUTSTANDING: u64 = 3_000;
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Prints `{"t0": …, "t1": …}`.
pub(crate) async fn run(setting: &Setting, workload: &str, count: u64) -> Result<(), BoxDynError> {
    let mut redis = setting.connect().await?;
    let mut storage = setting.storage().await?;
    let t0 = now()?;
    if workload == "W2" {
        storage.push(Job::Hop { i: 0, n: count }).await?;
    } else {
        let _: () = redis.set("bench:count", count).await?;
        let job = |i| {
            if workload == "W3" {
                Job::Io { i }
            } else {
                Job::Noop { i }
            }
        };
        let mut pushed = 0;
        while pushed < count {
            let end = count.min(pushed + SLICE);
            storage.push_bulk((pushed..end).map(job).collect()).await?;
            pushed = end;
            let unpushed = count - pushed;
            while redis.get::<_, u64>("bench:count").await?.saturating_sub(unpushed) > OUTSTANDING {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
    println!(r#"{{"t0": {t0}, "t1": {}}}"#, now()?);
    Ok(())
}
