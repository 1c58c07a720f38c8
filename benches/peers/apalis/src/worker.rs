//! A worker. The countdown of a fan-out is made by hand: result and DECR in one MULTI.

use apalis::layers::WorkerBuilderExt;
use apalis::prelude::*;
use apalis_redis::{ConnectionManager, RedisStorage};
use redis::AsyncCommands;
use std::time::Duration;

use crate::job::{Job, JobResult, now};
use crate::setting::Setting;

/// How long a worker gets to register before it says that it is ready: apalis tells nobody when it is.
const SETTLING: Duration = Duration::from_millis(300);

#[derive(Clone)]
struct Environment {
    redis: ConnectionManager,
    storage: RedisStorage<Job>,
    http: reqwest::Client,
    mock: String,
}

impl Environment {
    async fn fired(&mut self, results: usize) -> Result<(), BoxDynError> {
        let _: u64 = self.redis.rpush("bench:fired", format!("{}:{results}", now()?)).await?;
        Ok(())
    }

    async fn post(&self, i: u64) -> Result<(), BoxDynError> {
        let request = self.http.post(&self.mock).header("content-type", "application/json");
        request.body(format!(r#"{{"i":{i}}}"#)).send().await?.bytes().await?;
        Ok(())
    }

    async fn count_down(&mut self, result: &JobResult) -> Result<(), BoxDynError> {
        let text = serde_json::to_string(result)?;
        let mut transaction = redis::pipe();
        transaction.atomic().rpush("bench:results", text).decr("bench:count", 1);
        let (_, left): (u64, i64) = transaction.query_async(&mut self.redis).await?;
        if left == 0 {
            self.storage.push(Job::Collect).await?;
        }
        Ok(())
    }

    async fn collect(&mut self) -> Result<(), BoxDynError> {
        let texts: Vec<String> = self.redis.lrange("bench:results", 0, -1).await?;
        let readable = texts
            .iter()
            .filter(|text| serde_json::from_str::<JobResult>(text).is_ok());
        let results = readable.count();
        self.fired(results).await
    }
}

async fn perform(job: Job, environment: Data<Environment>) -> Result<JobResult, BoxDynError> {
    let mut environment: Environment = (*environment).clone();
    let i = match job {
        Job::Noop { i } => i,
        Job::Io { i } => {
            environment.post(i).await?;
            i
        }
        Job::Hop { i, n } => {
            let next = if i + 1 < n { Job::Hop { i: i + 1, n } } else { Job::End };
            environment.storage.push(next).await?;
            return Ok(JobResult::new(i));
        }
        Job::Collect => {
            environment.collect().await?;
            return Ok(JobResult::new(0));
        }
        Job::End => {
            environment.fired(1).await?;
            return Ok(JobResult::new(0));
        }
    };
    let result = JobResult::new(i);
    environment.count_down(&result).await?;
    Ok(result)
}

/// Works until the process is killed.
pub(crate) async fn run(setting: &Setting, name: &str) -> Result<(), BoxDynError> {
    let storage = setting.storage().await?;
    let environment = Environment {
        redis: setting.connect().await?,
        storage: storage.clone(),
        http: reqwest::Client::new(),
        mock: setting.mock.clone(),
    };
    let mut redis = environment.redis.clone();
    let announcing = async move {
        tokio::time::sleep(SETTLING).await;
        redis.rpush::<_, _, u64>("bench:ready", 1).await?;
        Ok::<_, BoxDynError>(())
    };
    let worker = WorkerBuilder::new(name)
        .backend(storage)
        .data(environment)
        .concurrency(setting.concurrency)
        .parallelize(tokio::spawn)
        .build(perform);
    let working = async { worker.run().await.map_err(BoxDynError::from) };
    tokio::try_join!(announcing, working)?;
    Ok(())
}
