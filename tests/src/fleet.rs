//! A fleet: Redis, stub and workers that belong to one test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testfleet_dispatcher::{DispatchError, DispatchLimits, Dispatched, Submission, dispatch};
use testfleet_model::RunId;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_store::view::RunView;
use testfleet_store::{Store, StoreOptions};
use testfleet_stub::{Call, Stub, StubHandle, StubSettings};
use testfleet_testkit::{TestRedis, TestRedisOptions, WAIT_BOUND, wait_for};

use crate::ended::Ended;
use crate::mailbox::Mailbox;
use crate::process::{Process, program};

/// What a fleet is made of. The default has a lease that no test outlives by accident.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// `worker.lease`. Heartbeat and reaper interval follow from it: a fifth of it, 500 ms at most.
    pub lease: Duration,
    /// `worker.stop_grace`.
    pub stop_grace: Duration,
    /// Further variables of every worker.
    pub variables: Vec<(String, String)>,
    /// What the stub is started with.
    pub stub: StubSettings,
    /// How the server is started.
    pub redis: TestRedisOptions,
    /// The worker's program; `None` is the one built with the profile of the test.
    pub worker: Option<PathBuf>,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            stop_grace: Duration::from_secs(10),
            variables: Vec::new(),
            stub: StubSettings::default(),
            redis: TestRedisOptions::default().append_only(),
            worker: None,
        }
    }
}

impl FleetOptions {
    /// With the short lease of tests that lose workers.
    #[must_use]
    pub fn short_lease() -> Self {
        Self {
            lease: Duration::from_secs(1),
            ..Self::default()
        }
    }

    /// With a stub that takes so long for each answer.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        let ms = u64::try_from(latency.as_millis()).expect("a latency of some seconds");
        self.stub.behaviour.latency = testfleet_stub::Latency { min_ms: ms, max_ms: ms };
        self
    }

    /// With a server that has written everything to disk before it answers. The default flushes once a second and, while
    /// a flush takes its time, keeps what it acknowledged in memory for up to 2 s.
    #[must_use]
    pub fn flushed_at_once(mut self) -> Self {
        self.redis = self.redis.setting("appendfsync", "always");
        self
    }

    /// With a server that listens on TCP too, for tests that put something between it and a worker.
    #[must_use]
    pub fn tcp(mut self) -> Self {
        self.redis = self.redis.tcp();
        self
    }

    /// With a further setting of the server.
    #[must_use]
    pub fn redis_setting(mut self, name: &str, value: &str) -> Self {
        self.redis = self.redis.setting(name, value);
        self
    }

    /// With a further variable of every worker.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A private Redis that survives its own crash, a stub, a mailbox, and a directory for logs. Workers are started by the test
/// and belong to it.
#[derive(Debug)]
pub struct Fleet {
    /// The server.
    pub redis: TestRedis,
    /// What is called; its log is the truth about calls.
    pub stub: StubHandle,
    /// Where mail arrives.
    pub mailbox: Mailbox,
    options: FleetOptions,
    directory: TempDir,
}

impl Fleet {
    /// A fleet without workers.
    #[must_use]
    pub fn start(options: FleetOptions) -> Self {
        let redis = options.redis.clone().start();
        let stub = Stub::start(options.stub.clone()).expect("a stub on a free port");
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self {
            redis,
            stub,
            mailbox: Mailbox::start(),
            options,
            directory,
        }
    }

    /// A handle of our own on the store.
    #[must_use]
    pub fn store(&self) -> Store {
        Store::new(&StoreOptions::new(self.redis.url())).expect("the URL of a private server is valid")
    }

    /// The variables every program of this fleet gets.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let lease = self.options.lease;
        let beat = (lease / 5).min(Duration::from_millis(500));
        let ms = |duration: Duration| format!("{}ms", duration.as_millis());
        let mut variables: Vec<(String, String)> = [
            ("TESTFLEET_REDIS_URL", self.redis.url()),
            ("TESTFLEET_WORKER_LEASE", ms(lease)),
            ("TESTFLEET_WORKER_HEARTBEAT", ms(beat)),
            ("TESTFLEET_WORKER_REAPER_INTERVAL", ms(beat)),
            ("TESTFLEET_WORKER_STOP_GRACE", ms(self.options.stop_grace)),
            ("TESTFLEET_NOTIFY_SMTP_URL", self.mailbox.url()),
            ("TESTFLEET_EGRESS_ALLOW", self.stub.address().to_string()),
            ("TESTFLEET_LOG_LEVEL", "debug".to_owned()),
            ("HOME", self.directory.path().display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        variables.extend(self.options.variables.iter().cloned());
        variables
    }

    /// Starts a worker process with a name for operators and returns when it has registered.
    pub async fn worker(&self, name: &str) -> Process {
        self.worker_with(name, &[], &[]).await
    }

    /// Starts a worker process under another program (`faketime +5m`, say) and with further variables, and returns when it
    /// has registered.
    pub async fn worker_with(&self, name: &str, under: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut process = self.start_worker(name, under, variables);
        let store = self.store();
        let pid = process.pid().to_string();
        wait_for(&format!("{name} to register"), async || {
            assert!(
                process.is_running(),
                "{name} ended before it was ready:\n{}",
                process.log()
            );
            let views = store.worker_views().await.ok()?;
            // What runs under another program may have another process id.
            let registered = views
                .iter()
                .any(|view| view.name == name && (view.pid == pid || !under.is_empty()));
            registered.then_some(())
        })
        .await;
        process
    }

    /// Starts a worker process without waiting for anything.
    #[must_use]
    pub fn start_worker(&self, name: &str, under: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut all = self.variables();
        all.push(("TESTFLEET_WORKER_ID".to_owned(), name.to_owned()));
        let own = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        all.extend(own);
        let log = self.directory.path().join(format!("{name}.log"));
        let worker = self.options.worker.clone();
        let worker = worker.unwrap_or_else(|| program("testfleet-worker"));
        let Some((outer, arguments)) = under.split_first() else {
            let none: [&str; 0] = [];
            return Process::start(&worker, &none, &all, name, log);
        };
        let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        arguments.push(worker.into_os_string());
        Process::start(Path::new(outer), &arguments, &all, name, log)
    }

    /// Submits a document, as it would be written in a JSON file, and returns the acknowledged run.
    pub async fn submit(&self, document: &Value) -> RunId {
        self.try_submit(document)
            .await
            .unwrap_or_else(|error| panic!("the run could not be submitted: {error}"))
    }

    /// Submits a document and returns the acknowledged run, or why there is none.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn try_submit(&self, document: &Value) -> Result<RunId, DispatchError> {
        submit_to(&self.store(), document).await
    }

    /// Operators' view of a run.
    pub async fn view(&self, run: RunId) -> RunView {
        let view = self.store().run_view(run).await.expect("a view of the run");
        view.unwrap_or_else(|| panic!("there is no run {run}"))
    }

    /// Waits until a run is in a state that the condition holds for.
    pub async fn wait_for_run(&self, run: RunId, what: &str, condition: impl Fn(&RunView) -> bool) -> RunView {
        let store = self.store();
        wait_for(what, async || {
            // A store that is being restarted does not answer.
            let view = store.run_view(run).await.ok().flatten()?;
            condition(&view).then_some(view)
        })
        .await
    }

    /// Waits until a run has ended and answers everything that is stored of it.
    pub async fn ended(&self, run: RunId) -> Ended {
        let view = self
            .wait_for_run(run, "the end of the run", |view| view.state.is_terminal())
            .await;
        let store = self.store();
        let summary = store
            .summary(run)
            .await
            .expect("an answer")
            .expect("an ended run has a summary");
        let results = store.results(run, 0, view.total).await.expect("an answer");
        Ended {
            run,
            view,
            summary: serde_json::from_str(&summary).expect("a summary is JSON"),
            results: results
                .into_iter()
                .map(|result| result.map(|bytes| serde_json::from_slice(&bytes).expect("a result is JSON")))
                .collect(),
        }
    }

    /// Blocks until the stub's calls are as wanted.
    pub fn wait_for_calls(&self, what: &str, wanted: impl Fn(&[&Call]) -> bool) {
        let seen = self.stub.wait_for_calls(WAIT_BOUND, |calls| {
            let calls: Vec<&Call> = calls.iter().collect();
            wanted(&calls)
        });
        assert!(
            seen,
            "waited {WAIT_BOUND:?} for {what}; the stub saw {:?}",
            self.stub.stats()
        );
    }

    /// Calls of a run that the stub has seen, oldest first.
    #[must_use]
    pub fn calls_of(&self, run: RunId) -> Vec<Call> {
        let run = Some(run.to_string());
        self.stub
            .calls()
            .into_iter()
            .filter(|call| call.identity.run == run)
            .collect()
    }

    /// Waits until some worker holds a test of the run, and answers the place in `workers` of the one that does.
    pub async fn holder_of(&self, run: RunId, workers: &[Process]) -> usize {
        let store = self.store();
        let prefix = format!("{run}/");
        wait_for("a worker that holds a test", async || {
            let queue = store.queue_view(1_000).await.ok()?;
            let job = queue.in_flight.iter().find(|job| job.job.starts_with(&prefix))?;
            let views = store.worker_views().await.ok()?;
            let pid = &views.iter().find(|view| view.worker == job.worker)?.pid;
            workers.iter().position(|worker| worker.pid().to_string() == *pid)
        })
        .await
    }

    /// Waits until nothing is in flight, waiting or delayed, and no endpoint's slot is taken.
    pub async fn idle(&self) {
        let store = self.store();
        wait_for("an idle store", async || {
            let queue = store.queue_view(10).await.ok()?;
            let endpoints = store.endpoint_views().await.ok()?;
            let waiting = queue.ready_count + queue.in_flight_count + queue.delayed_count + queue.control_count;
            let slots: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.in_flight)).sum();
            (waiting == 0 && queue.parked_count == 0 && slots == 0).then_some(())
        })
        .await;
    }

    /// Waits until the mail of a run is settled, and answers all mails that arrived about it.
    pub async fn mails_of(&self, run: RunId) -> Vec<String> {
        self.wait_for_run(run, "the mail to be sent", |view| view.mail.as_deref() == Some("sent"))
            .await;
        let mails = self.mailbox.mails();
        mails
            .into_iter()
            .filter(|mail| mail.contains(&run.to_string()))
            .collect()
    }

    /// The directory of the logs.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
}

/// Submits a document through a handle of one's own, for tasks that do not have the fleet.
///
/// # Errors
/// When the store does not take it.
pub async fn submit_to(store: &Store, document: &Value) -> Result<RunId, DispatchError> {
    let reading = read_configuration(
        &document.to_string(),
        "fleet.json",
        DocumentFormat::Json,
        &Defaults::default(),
    )
    .unwrap_or_else(|problems| panic!("the configuration of this test is wrong: {problems}"));
    let configuration = reading.configuration;
    let tests = configuration.test_set.tests.clone();
    let submission = Submission {
        run: RunId::new(uuid::Uuid::now_v7()),
        configuration: &configuration,
        configuration_id: None,
        limits: DispatchLimits {
            deadline: Duration::from_secs(3600),
            staging_timeout: Duration::from_secs(60),
            max_test_bytes: 256 * 1024,
        },
    };
    let tests = tests.into_iter().map(Ok::<_, std::convert::Infallible>);
    let Dispatched { run, .. } = dispatch(store, submission, tests).await?;
    Ok(run)
}
