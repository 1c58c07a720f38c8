//! Workers that come and go: each place is manned by somebody, and who mans it is killed, stopped and replaced.

use testfleet_tests::{Fleet, Process};

/// Workers by place, and those that are on their way out.
pub(crate) struct Crew {
    workers: Vec<Process>,
    leaving: Vec<Process>,
    started: usize,
}

impl Crew {
    /// Starts so many workers and returns when all have registered.
    pub(crate) async fn start(fleet: &Fleet, size: usize) -> Self {
        let mut crew = Self {
            workers: Vec::new(),
            leaving: Vec::new(),
            started: 0,
        };
        for _ in 0..size {
            let worker = crew.recruit(fleet).await;
            crew.workers.push(worker);
        }
        crew
    }

    async fn recruit(&mut self, fleet: &Fleet) -> Process {
        self.started += 1;
        fleet.worker(&format!("w{}", self.started)).await
    }

    /// Kills the worker at a place, as `kill -9` does, and starts another.
    pub(crate) async fn kill(&mut self, fleet: &Fleet, place: usize) {
        self.workers[place].kill();
        self.workers[place] = self.recruit(fleet).await;
    }

    /// Tells the worker at a place to stop, and starts another while it does.
    pub(crate) async fn stop(&mut self, fleet: &Fleet, place: usize) {
        self.workers[place].signal("TERM");
        let new = self.recruit(fleet).await;
        self.leaving.push(std::mem::replace(&mut self.workers[place], new));
        self.leaving.retain_mut(Process::is_running);
    }

    /// Kills all of them; nobody comes in their place.
    pub(crate) fn kill_all(&mut self) {
        self.workers.iter().for_each(|worker| worker.signal("KILL"));
        for mut worker in self.workers.drain(..).chain(self.leaving.drain(..)) {
            worker.kill();
        }
    }

    /// Mans one more place.
    pub(crate) async fn add(&mut self, fleet: &Fleet) {
        let worker = self.recruit(fleet).await;
        self.workers.push(worker);
    }

    /// How many have been started so far.
    pub(crate) fn started(&self) -> usize {
        self.started
    }
}
