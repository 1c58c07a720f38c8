//! Runs with a configuration, endpoints that answer by a script, and an executor that keeps what attempts told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use testfleet_bootstrap::tls;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::{ExecutionMode, RunId};
use testfleet_store::{Activated, Arrangement, Feedback, NewRun, RunPolicy, Store};
use testfleet_worker::{Execute, Job, Outcome, TestExecutor, WorkerOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

const MINUTE: Duration = Duration::from_secs(60);

/// An endpoint that answers `GET /<name>` with the text of that name, then closes; a name without a text is never answered.
pub async fn endpoint(texts: &'static [(&'static str, &'static str)]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            if stream.read_line(&mut line).await.is_err() {
                continue;
            }
            let name = line.split(['/', ' ']).nth(2).unwrap_or_default().to_owned();
            let text = texts.iter().find(|(of, _)| *of == name).map(|(_, text)| *text);
            seen.lock().unwrap().push(name);
            // The whole of the request, so that closing is not a reset.
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {}
            match text {
                Some(text) => drop(stream.write_all(text.as_bytes()).await),
                None => silent.push(stream),
            }
        }
    });
    (url, calls)
}

/// A run to be submitted.
pub struct Planned<'a> {
    /// What the document has besides a name, a metric and its tests.
    pub document: Value,
    pub tests: Value,
    pub mode: ExecutionMode,
    pub policy: RunPolicy<'a>,
    pub arrangements: &'a [Arrangement<'a>],
    pub configuration_id: Option<&'a str>,
}

impl Planned<'_> {
    /// Of an endpoint at this URL, a template.
    pub fn at(url: &str) -> Self {
        tls::install_crypto_provider();
        Self {
            document: json!({ "endpoint": {
                "type": "http", "url": url, "method": "GET", "response": { "format": "text" },
                "retry": { "max_attempts": 1 }
            } }),
            tests: json!([]),
            mode: ExecutionMode::Parallel,
            policy: RunPolicy::default(),
            arrangements: &[],
            configuration_id: None,
        }
    }

    pub async fn submit(mut self, store: &Store) -> RunId {
        self.document["version"] = json!(1);
        self.document["name"] = json!("limits");
        self.document["metrics"] = json!([{ "type": "contains", "value": "x" }]);
        self.document["test_set"] = json!({ "tests": self.tests });
        let reading = read_configuration(
            &self.document.to_string(),
            "limits.json",
            DocumentFormat::Json,
            &Defaults::default(),
        );
        let mut configuration = reading.unwrap().configuration;
        let tests: Vec<String> = std::mem::take(&mut configuration.test_set.tests)
            .iter()
            .map(|test| serde_json::to_string(test).unwrap())
            .collect();
        let run = RunId::new(uuid::Uuid::now_v7());
        let new = NewRun {
            id: run,
            configuration: &serde_json::to_string(&configuration).unwrap(),
            name: &configuration.name,
            configuration_id: self.configuration_id.map(|id| (id, 1)),
            mode: self.mode,
            endpoint: "limited",
            cap: if self.mode == ExecutionMode::Sequential {
                1
            } else {
                1_000
            },
            lease: Duration::from_secs(30),
            staging_timeout: MINUTE,
            idempotency: None,
            policy: self.policy,
        };
        store.create(&new).await.unwrap();
        store.stage(run, 0, &tests, MINUTE).await.unwrap();
        for arrangement in self.arrangements {
            store.arrange(run, MINUTE, *arrangement).await.unwrap();
        }
        let total = u32::try_from(tests.len()).unwrap();
        let limits = &configuration.endpoint.limits;
        assert_eq!(
            store.activate(run, total, MINUTE, limits).await.unwrap(),
            Activated::Activated
        );
        run
    }
}

/// What an attempt told, and of which test.
#[derive(Clone, Debug)]
pub struct Told {
    pub index: u32,
    pub attempt: u32,
    pub fence: u64,
    /// `None`: given back untried.
    pub feedback: Option<Feedback>,
    /// Until the next attempt; `None`: there is none.
    pub delay: Option<Duration>,
}

/// The ordinary executor, overheard.
pub struct Overheard {
    inner: TestExecutor,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Overheard {
    pub fn new(store: &Store, options: &WorkerOptions) -> (Self, Arc<Mutex<Vec<Told>>>) {
        let told = Arc::default();
        let overheard = Self {
            inner: TestExecutor::new(store.clone(), options),
            told: Arc::clone(&told),
        };
        (overheard, told)
    }
}

impl Execute for Overheard {
    async fn execute(&self, job: Job) -> Outcome {
        let (index, attempt, fence) = (job.test.index, job.test.attempt, job.test.fence);
        let outcome = self.inner.execute(job).await;
        let (feedback, delay) = match &outcome {
            Outcome::Done { feedback, .. } => (Some(*feedback), None),
            Outcome::Retry { feedback, delay } => (Some(*feedback), Some(*delay)),
            Outcome::NotNow { .. } => (None, None),
        };
        self.told.lock().unwrap().push(Told {
            index,
            attempt,
            fence,
            feedback,
            delay,
        });
        outcome
    }
}
