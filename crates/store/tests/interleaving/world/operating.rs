//! What people and time do: runs activated and tried again, limits, deadlines and delays.

use testfleet_model::configuration::{Breaker, Limits};
use testfleet_model::{RunId, RunState, Status};
use testfleet_store::{EndpointSettings, FleetSettings, Reopened, Reopening, Setting};

use super::{HOUR, Outcome, World, at};
use crate::interleaving::snapshot::Snapshot;

impl World {
    pub(super) async fn pass_deadline(&mut self, run: RunId) {
        let () = self
            .ask(&["ZADD", &self.key("deadlines"), "XX", "1", &run.to_string()])
            .await;
        self.store.sweep(HOUR).await.unwrap();
    }

    /// Reopens an ended run, or goes on reopening one, with about half of the tests that can be tried again.
    pub(super) async fn reopen(&mut self, pick: u32, last: bool) -> Outcome {
        let plan = &self.runs[at(&self.runs, pick).unwrap()];
        let run = plan.run;
        let limits = self.limits_of(plan.endpoint);
        let view = self.store.run_view(run).await.unwrap().unwrap();
        let now = Snapshot::read(&mut self.connection).await;
        let mut chosen: Vec<(u32, Status)> = now
            .map(&format!("run:{run}:results"))
            .iter()
            .map(|(index, result)| {
                let status = result.split(' ').next().and_then(Status::from_word).unwrap();
                (index.parse().unwrap(), status)
            })
            .filter(|(index, _)| (pick >> (4 + index)) & 1 == 1)
            .collect();
        chosen.sort_by_key(|(index, _)| *index);
        let recovering = now.map(&format!("run:{run}")).contains_key("recovering");
        let again = view.state == RunState::Reopening && !recovering;
        let reopening = Reopening {
            run,
            epoch: if again { view.epoch } else { view.epoch + 1 },
            deadline: HOUR,
            limits,
            staging_timeout: HOUR,
        };
        let answer = self.store.reopen(&reopening, &chosen, last).await.unwrap();
        let changed = matches!(answer, Reopened::Opened { .. } | Reopened::Reopening { .. });
        if changed != (again || (view.state.is_terminal() && view.total > 0 && answer != Reopened::Nothing)) {
            return Err(format!("{answer:?} for a run that is {}", view.state));
        }
        // Results that were taken back are nobody's any more.
        let now = Snapshot::read(&mut self.connection).await;
        let results = now.map(&format!("run:{run}:results"));
        self.done
            .retain(|(_, done)| done.run != run || results.contains_key(&done.index.to_string()));
        Ok(())
    }

    pub(super) async fn activate(&mut self, pick: u32) {
        let number = at(&self.runs, pick).unwrap();
        let plan = &self.runs[number];
        let limits = self.limits_of(plan.endpoint);
        let total = u32::try_from(plan.total).unwrap();
        self.store.activate(plan.run, total, HOUR, &limits).await.unwrap();
        self.activated[number] = true;
    }

    pub(super) async fn set_limit(&mut self, pick: u32) {
        let max_concurrency = match pick / 2 % 6 {
            0 => Setting::Lift,
            1 | 2 => Setting::Clear,
            more => Setting::Set(more - 2),
        };
        let settings = EndpointSettings {
            max_concurrency,
            ..EndpointSettings::default()
        };
        self.store.set_endpoint(endpoint_at(pick), &settings).await.unwrap();
    }

    pub(super) async fn set_fleet(&mut self, pick: u32) {
        let most = Some(pick % 5).filter(|most| *most > 0);
        let settings = FleetSettings {
            max_concurrency: Some(most),
            ..FleetSettings::default()
        };
        self.store.set_fleet(settings).await.unwrap();
        self.fleet = most.map(|most| usize::try_from(most).unwrap());
    }

    /// Time passes: what waits for it is due.
    pub(super) async fn end_delays(&mut self) {
        for endpoint in ["shared", "free"] {
            let limits = self.key(&format!("endpoint:{endpoint}:limits"));
            for field in ["retry_until", "open_until", "hold_until"] {
                let until: Option<String> = self.ask(&["HGET", &limits, field]).await;
                if until.is_some_and(|until| until != "-1") {
                    let () = self.ask(&["HSET", &limits, field, "1"]).await;
                }
            }
            let lingering = self.key(&format!("endpoint:{endpoint}:lingering"));
            let calls: Vec<String> = self.ask(&["ZRANGE", &lingering, "0", "-1"]).await;
            for call in calls {
                let () = self.ask(&["ZADD", &lingering, "1", &call]).await;
            }
        }
        self.make_due(&["delayed", "control", "mails", "wakes", "lingering"])
            .await;
    }

    pub(super) async fn make_due(&mut self, names: &[&str]) {
        for name in names {
            let key = self.key(name);
            let members: Vec<String> = self.ask(&["ZRANGE", &key, "0", "-1"]).await;
            for member in members {
                let () = self.ask(&["ZADD", &key, "1", &member]).await;
            }
        }
    }

    /// A run's limits of its endpoint: the adaptive ones, and those of `shared` also a breaker.
    pub(super) fn limits_of(&self, endpoint: &str) -> Limits {
        Limits {
            max_concurrency: Some(self.limits[endpoint]),
            breaker: (endpoint == "shared").then_some(Breaker {
                failures: 2,
                cool_down: HOUR,
            }),
            ..Limits::default()
        }
    }
}

pub(super) fn endpoint_at(pick: u32) -> &'static str {
    if pick.is_multiple_of(2) { "shared" } else { "free" }
}
