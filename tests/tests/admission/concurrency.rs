//! LIMITS-HOLD: calls at the same time, of a run, of an endpoint and of the fleet, whatever happens to workers and runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use testfleet_model::RunId;
use testfleet_store::FleetSettings;
use testfleet_stub::Traffic;
use testfleet_tests::{Fleet, FleetOptions};

use crate::crew::Crew;
use crate::figure::Figures;
use crate::ground::{endpoint_of, measured, run_of, suite};

const TAKES: Duration = Duration::from_millis(40);
/// The limits: of each of the endpoints, of the fleet, and of runs by turns.
const ENDPOINTS: [(&str, usize); 3] = [("one", 4), ("two", 6), ("three", 8)];
const FLEET: usize = 12;
const CAPS: [usize; 3] = [2, 3, 20];

/// Runs of all endpoints with a cap each.
struct Load {
    submitted: usize,
    caps: BTreeMap<String, usize>,
}

impl Load {
    async fn start(fleet: &Fleet) -> Self {
        let settings = FleetSettings {
            max_concurrency: Some(Some(u32::try_from(FLEET).expect("a small limit"))),
            ..FleetSettings::default()
        };
        fleet.store().set_fleet(settings).await.expect("an answer");
        Self {
            submitted: 0,
            caps: BTreeMap::new(),
        }
    }

    /// One more run, of the next endpoint and with the next cap.
    async fn submit(&mut self, fleet: &Fleet, tests: usize) -> RunId {
        let (endpoint, most) = ENDPOINTS[self.submitted % ENDPOINTS.len()];
        let cap = CAPS[self.submitted / ENDPOINTS.len() % CAPS.len()];
        self.submitted += 1;
        let mut suite = suite(fleet, endpoint, "runs", tests, TAKES);
        suite["endpoint"]["limits"] = json!({ "max_concurrency": most });
        // Workers that are killed spend attempts.
        suite["endpoint"]["retry"]["max_attempts"] = json!(20);
        suite["attributes"]["batch_concurrency"] = json!(cap);
        let run = fleet.submit(&suite).await;
        self.caps.insert(run.to_string(), cap);
        run
    }

    /// What was seen at once beside what is allowed.
    fn figures(&self, fleet: &Fleet, figures: &mut Figures) {
        assert_eq!(fleet.stub.stats().dropped, 0, "the stub's log is whole");
        let calls = fleet.stub.calls();
        let traffic = Traffic::of(&calls);
        let by_run = traffic.most_at_once_by(run_of);
        for cap in CAPS {
            let most = by_run
                .iter()
                .filter(|(run, _)| self.caps[*run] == cap)
                .map(|(_, most)| *most);
            let most = most.max().unwrap_or(0);
            let what = format!("at once, of any run with a cap of {cap}");
            figures.wanted(&what, most, &format!("at most {cap}"), most <= cap);
        }
        let by_endpoint = traffic.most_at_once_by(endpoint_of);
        for (endpoint, limit) in ENDPOINTS {
            let most = by_endpoint.get(endpoint).copied().unwrap_or(0);
            let what = format!("at once, at endpoint {endpoint}");
            figures.wanted(&what, most, &format!("2 to {limit}"), (2..=limit).contains(&most));
        }
        let most = traffic.most_at_once().0;
        figures.wanted(
            "at once, in the fleet",
            most,
            &format!("2 to {FLEET}"),
            (2..=FLEET).contains(&most),
        );
        figures.said("calls", calls.len());
    }
}

/// Runs that end well while workers are killed, stopped and started, and others are cancelled.
///
/// F62.
#[tokio::test]
async fn no_limit_is_exceeded_while_workers_come_and_go_and_runs_are_cancelled() {
    let fleet = Fleet::start(FleetOptions::short_lease());
    let mut load = Load::start(&fleet).await;
    let mut crew = Crew::start(&fleet, 4).await;
    let mut runs = Vec::new();
    for _ in 0..9 {
        runs.push(load.submit(&fleet, 30).await);
    }
    let cancelled = load.submit(&fleet, 200).await;
    fleet.wait_for_calls("calls", |calls| calls.len() >= 20);
    crew.kill(&fleet, 0).await;
    fleet.wait_for_calls("more calls", |calls| calls.len() >= 60);
    crew.stop(&fleet, 1).await;
    let of_it = Some(cancelled.to_string());
    fleet.wait_for_calls("calls of the run to be cancelled", |calls| {
        calls.iter().any(|call| call.identity.run == of_it)
    });
    fleet.store().cancel(cancelled).await.expect("an answer");
    crew.kill(&fleet, 2).await;
    for run in runs {
        assert_eq!(fleet.ended(run).await.statuses()["Pass"], 30);
    }
    fleet.ended(cancelled).await;
    fleet.idle().await;
    let mut figures = Figures::of("calls at the same time");
    load.figures(&fleet, &mut figures);
    figures.judge();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes SECONDS (60); `make limits`"]
async fn no_limit_is_exceeded_in_a_long_time() {
    let length = std::env::var("SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60);
    let fleet = Fleet::start(measured(FleetOptions::short_lease()));
    let mut load = Load::start(&fleet).await;
    let mut crew = Crew::start(&fleet, 4).await;
    let (began, mut turn, mut open, mut cancels) = (Instant::now(), 0, Vec::new(), 0);
    while began.elapsed() < Duration::from_secs(length) {
        while open.len() < 12 {
            open.push(load.submit(&fleet, 60).await);
        }
        match turn % 3 {
            0 => crew.kill(&fleet, turn % 4).await,
            1 => crew.stop(&fleet, turn % 4).await,
            _ => {
                let run = open[turn % open.len()];
                fleet.store().cancel(run).await.expect("an answer");
                cancels += 1;
            }
        }
        turn += 1;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut still = Vec::new();
        for run in open {
            if !fleet.view(run).await.state.is_terminal() {
                still.push(run);
            }
        }
        open = still;
    }
    for run in open {
        fleet.ended(run).await;
    }
    fleet.idle().await;
    let mut figures = Figures::of("calls at the same time, 4 workers that are killed, stopped and replaced");
    figures.said("seconds", began.elapsed().as_secs());
    figures.said("workers started", crew.started());
    figures.said("runs", load.submitted);
    figures.said("runs cancelled", cancels);
    load.figures(&fleet, &mut figures);
    figures.judge();
}
