//! Where a case happens: a fleet with short times, a proxy, and the processes that a case starts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::RunId;
use testfleet_store::Store;
use testfleet_store::script;
use testfleet_stub::{Stub, StubHandle, StubSettings};
use testfleet_testkit::{CommandProxy, TestRedisOptions, wait_for};
use testfleet_tests::{Fleet, FleetOptions, Process, echo_suite, program};

/// Long enough for a machine with a dozen of these fleets; taking over from a dead worker waits for it once or twice.
const LEASE: Duration = Duration::from_millis(800);

/// Fleet, store and proxy of one case.
pub(crate) struct Ground {
    pub(crate) fleet: Fleet,
    pub(crate) store: Store,
    pub(crate) proxy: CommandProxy,
    /// A server of its own, so that calls of the endpoint are counted alone.
    pub(crate) judge: StubHandle,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        let fleet = Fleet::start(FleetOptions {
            lease: LEASE,
            redis: TestRedisOptions::default(),
            ..FleetOptions::default()
        });
        let judge = Stub::start(StubSettings::default()).expect("a judge");
        let proxy = CommandProxy::start(&fleet.redis).await;
        Self {
            store: fleet.store(),
            fleet,
            proxy,
            judge,
        }
    }

    /// Makes all transitions known to the server, so that each is one command.
    pub(crate) async fn load_functions(&self) {
        let mut connection = self.fleet.redis.connection().await;
        for script in script::all() {
            let name: String = deadpool_redis::redis::cmd("FUNCTION")
                .arg("LOAD")
                .arg("REPLACE")
                .arg(script.library())
                .query_async(&mut connection)
                .await
                .expect("an answer");
            assert_eq!(name, script.function());
        }
    }

    /// The variables of the fleet's programs, with a server at `redis`.
    pub(crate) fn variables(&self, redis: &str) -> Vec<(String, String)> {
        let mut variables = self.fleet.variables();
        let own = [
            ("TESTFLEET_REDIS_URL", redis),
            ("TESTFLEET_REDIS_ALLOW_VOLATILE", "true"),
            ("TESTFLEET_NOTIFY_BACKOFF_INITIAL", "100ms"),
        ];
        variables.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let allowed = format!("{},{}", self.fleet.stub.address(), self.judge.address());
        variables.push(("TESTFLEET_EGRESS_ALLOW".to_owned(), allowed));
        variables
    }

    /// Starts a worker without waiting for anything.
    pub(crate) fn start_worker(&self, name: &str, redis: &str) -> Process {
        let mut variables = self.variables(redis);
        variables.push(("TESTFLEET_WORKER_ID".to_owned(), name.to_owned()));
        let none: [&str; 0] = [];
        let log = self.fleet.directory().join(format!("{name}.log"));
        Process::start(&program("testfleet-worker"), &none, &variables, name, log)
    }

    /// Starts a worker that nothing happens to.
    pub(crate) fn start_helper(&self) -> Process {
        self.start_worker("helper", &self.fleet.redis.url())
    }

    /// Waits until the store knows a worker or does not.
    pub(crate) async fn wait_for_worker(&self, worker: &Process, known: bool) {
        let pid = worker.pid().to_string();
        let what = if known { "to be known" } else { "to be forgotten" };
        wait_for(&format!("{} {what}", worker.name()), async || {
            let views = self.store.worker_views().await.ok()?;
            (views.iter().any(|view| view.pid == pid) == known).then_some(())
        })
        .await;
    }

    /// Waits until the run has ended and its mail is settled.
    pub(crate) async fn wait_for_end(&self, run: RunId) {
        wait_for("the end of the run and its mail", async || {
            self.has_ended(run).await.then_some(())
        })
        .await;
    }

    /// Whether the run has ended and its mail is settled.
    pub(crate) async fn has_ended(&self, run: RunId) -> bool {
        let view = self.store.run_view(run).await.expect("an answer").expect("the run");
        view.state.is_terminal() && view.mail.as_deref() == Some("sent")
    }

    /// Everything in the store but what belongs to living workers, and the count of results that came too late.
    pub(crate) async fn state(&self) -> BTreeMap<String, Value> {
        let mut dump = self.fleet.redis.dump("").await;
        dump.retain(|key, _| {
            let rest = key.split_once("}:").map_or(key.as_str(), |(_, rest)| rest);
            // Places at a model belong to workers.
            let of_worker = rest.starts_with("worker:") || rest.starts_with("model:");
            let moves = ["workers", "reaper", "sweeper", "bell"].contains(&rest) || of_worker;
            !moves
        });
        for value in dump.values_mut() {
            if let Some(fields) = value.as_object_mut()
                && fields.contains_key("state")
            {
                fields.remove("discarded");
            }
        }
        dump
    }
}

/// Asks a worker to end and holds it to it.
pub(crate) async fn end_in_order(worker: &mut Process) {
    worker.signal("TERM");
    let status = worker.ended().await;
    assert!(
        status.success(),
        "{} ended with {status}:\n{}",
        worker.name(),
        worker.log()
    );
}

/// Tests with different latencies, so that they end one after the other; the first call of `t-1` fails.
pub(crate) fn suite(ground: &Ground, mode: &str, latencies: &[u32]) -> Value {
    let mut suite = echo_suite(ground.fleet.stub.url(), latencies.len());
    suite["attributes"]["execution_mode"] = json!(mode);
    suite["attributes"]["batch_concurrency"] = json!(2);
    suite["endpoint"]["headers"] = json!({
        "X-Stub-Latency-Ms": "{{ vars.latency }}",
        "X-Stub-Fail-First": "{{ vars.failures }}",
        "X-Stub-Fault": "{{ vars.fault }}",
    });
    suite["endpoint"]["retry"] = json!({ "max_attempts": 4, "backoff": { "initial": "100ms", "max": "100ms" } });
    for (index, latency) in latencies.iter().enumerate() {
        suite["test_set"]["tests"][index]["vars"] = json!({ "latency": latency.to_string() });
    }
    suite["test_set"]["tests"][1]["vars"]["failures"] = json!("1");
    suite
}
