//! How runs end: collections, mails, and bringing everything to its end.

use testfleet_model::{RunId, RunState, Status};
use testfleet_store::{ControlJob, Delivery, Filling, Recovered, Recovering, Retaken, Seat, Want};

use super::{HOUR, Outcome, PATIENCE, World, at};
use crate::interleaving::invariant;
use crate::interleaving::snapshot::Snapshot;
use crate::interleaving::step::WORKERS;

impl World {
    /// The first collection a worker believes to hold.
    pub(super) fn collection(&self, worker: usize) -> Option<(Seat, usize, RunId, u64)> {
        let seat = self.workers[worker].seat.clone()?;
        let jobs = self.workers[worker].control.iter().enumerate();
        let mut collections = jobs.filter_map(|(at, control)| match control.job {
            ControlJob::Collect(run) => Some((seat.clone(), at, run, control.fence)),
            ControlJob::Notify(_) => None,
        });
        collections.next()
    }

    /// Fills one index, or all.
    pub(super) async fn fill(&mut self, worker: usize, pick: Option<u32>) {
        let Some((seat, _, run, fence)) = self.collection(worker) else {
            return;
        };
        let total = self.runs.iter().find(|plan| plan.run == run).unwrap().total;
        let indices: Vec<u32> = (0..u32::try_from(total).unwrap()).collect();
        let chosen = match pick {
            Some(pick) => vec![indices[at(&indices, pick).unwrap()]],
            None => indices,
        };
        let fillings: Vec<Filling> = chosen
            .into_iter()
            .map(|index| Filling {
                index,
                status: Status::Cancelled,
                result: b"Cancelled filled".to_vec(),
            })
            .collect();
        self.store.fill(&seat, run, fence, &fillings).await.unwrap();
    }

    pub(super) async fn collect(&mut self, worker: usize) {
        let Some((seat, chosen, run, fence)) = self.collection(worker) else {
            return;
        };
        let summary = format!("by {fence}");
        let ended = RunState::Completed;
        let answer = self
            .store
            .collect(&seat, run, fence, ended, &summary, Some("mail"), HOUR)
            .await
            .unwrap();
        if !matches!(answer, testfleet_store::Collected::Incomplete { .. }) {
            self.workers[worker].control.remove(chosen);
        }
    }

    /// Opens a recovery round, or goes on opening one, with about half of the tests that did not pass.
    pub(super) async fn recover(&mut self, worker: usize, pick: u32, last: bool) -> Outcome {
        let Some((seat, chosen, run, fence)) = self.collection(worker) else {
            return Ok(());
        };
        let view = self.store.run_view(run).await.unwrap().unwrap();
        let now = Snapshot::read(&mut self.connection).await;
        let mut tests: Vec<Retaken> = now
            .map(&format!("run:{run}:results"))
            .iter()
            .map(|(index, result)| Retaken {
                index: index.parse().unwrap(),
                status: result.split(' ').next().and_then(Status::from_word).unwrap(),
                payload: format!("test {index}").into_bytes(),
            })
            .filter(|test| (pick >> (4 + test.index)) & 1 == 1)
            .collect();
        tests.sort_by_key(|test| test.index);
        let again = view.state == RunState::Reopening;
        let recovering = Recovering {
            run,
            fence,
            epoch: if again { view.epoch } else { view.epoch + 1 },
            staging_timeout: HOUR,
        };
        let answer = self.store.recover(&seat, recovering, &tests, last).await.unwrap();
        match answer {
            Recovered::Nothing | Recovered::Stopped | Recovered::Spent | Recovered::Incomplete { .. } => return Ok(()),
            Recovered::Recovering { .. } => {}
            Recovered::Late => return Err("an hour has not passed".into()),
            _ => drop(self.workers[worker].control.remove(chosen)),
        }
        let now = Snapshot::read(&mut self.connection).await;
        let results = now.map(&format!("run:{run}:results"));
        self.done
            .retain(|(_, done)| done.run != run || results.contains_key(&done.index.to_string()));
        Ok(())
    }

    pub(super) async fn settle_notification(&mut self, worker: usize, sent: bool) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let jobs = &self.workers[worker].control;
        let Some(chosen) = jobs
            .iter()
            .position(|control| matches!(control.job, ControlJob::Notify(_)))
        else {
            return;
        };
        let control = self.workers[worker].control.remove(chosen);
        let ControlJob::Notify(run) = control.job else { return };
        let again = Delivery::Again {
            delay: HOUR,
            reason: "451".into(),
        };
        let delivery = if sent { Delivery::Sent } else { again };
        self.store
            .settle_notification(&seat, run, control.fence, &delivery)
            .await
            .unwrap();
    }

    /// All workers die, and a new one does what is left; nothing helps it but the transitions themselves.
    pub async fn drive_to_the_end(&mut self) -> Outcome {
        for worker in 0..WORKERS {
            self.die(worker).await;
        }
        self.register(WORKERS).await;
        // What only an operator ends.
        for endpoint in ["shared", "free"] {
            self.store.release_endpoint(endpoint).await.unwrap();
        }
        let runs: Vec<RunId> = self.runs.iter().map(|plan| plan.run).collect();
        for run in runs {
            self.store.resume(run).await.unwrap();
            let view = self.store.run_view(run).await.unwrap().unwrap();
            if view.state == RunState::Reopening {
                self.pass_deadline(run).await;
            }
        }
        self.check().await?;
        for _ in 0..PATIENCE {
            self.end_delays().await;
            self.claim(WORKERS, Want { tests: 3, control: 2 }).await?;
            self.complete(WORKERS, 3, 0).await?;
            self.fill(WORKERS, None).await;
            self.collect(WORKERS).await;
            self.settle_notification(WORKERS, true).await;
            self.check().await?;
            if self.all_ended().await {
                return self.check_the_end().await;
            }
        }
        Err("runs do not end".into())
    }

    pub(super) async fn all_ended(&mut self) -> bool {
        let runs: Vec<(RunId, bool)> = self
            .runs
            .iter()
            .map(|plan| plan.run)
            .zip(self.activated.clone())
            .collect();
        for (run, activated) in runs {
            let state = self.store.run_view(run).await.unwrap().unwrap().state;
            if activated && !state.is_terminal() {
                return false;
            }
        }
        let waiting: usize = self.ask(&["EXISTS", &self.key("control"), &self.key("mails")]).await;
        waiting == 0
    }

    pub(super) async fn check_the_end(&mut self) -> Outcome {
        // What was never activated is swept away.
        let staged: Vec<RunId> = self.runs.iter().map(|plan| plan.run).collect();
        for run in staged {
            let () = self
                .ask(&["ZADD", &self.key("deadlines"), "XX", "1", &run.to_string()])
                .await;
        }
        self.store.sweep(HOUR).await.unwrap();
        let left = self.store.deregister(&format!("w{WORKERS}")).await.unwrap();
        if left != 0 {
            return Err(format!("the last worker still holds {left} jobs"));
        }
        let now = Snapshot::read(&mut self.connection).await;
        invariant::check_nothing_left(&now)
    }
}
