//! What can be done in a state: by each worker as far as its code goes, and by the world around it.

use crate::action::{Action, Delivery};
use crate::fleet::Fleet;
use crate::mutation::Mutation;
use crate::state::{Job, Kind, Phase, RUNS, State};
use crate::transition::{Chance, Told};
use crate::worker::{ControlStep, Process, TestStep, Worker};

/// What a worker, and the world around it, can do in a state.
pub(crate) struct Choices<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) state: &'a State,
    pub(crate) worker: u8,
    pub(crate) actions: &'a mut Vec<Action>,
}

impl Choices<'_> {
    /// Everything that concerns the worker.
    pub(crate) fn all(&mut self) {
        self.of_process();
        self.of_wire();
        self.of_reaper();
        if self.me().is_up() {
            self.of_pump();
            self.of_heartbeat();
            self.of_control();
        }
    }

    fn me(&self) -> &Worker {
        &self.state.workers[usize::from(self.worker)]
    }

    fn can_fail(&self) -> bool {
        self.state.faults > 0
    }

    /// A call, in all ways that it can go.
    fn call(&mut self, action: impl Fn(Delivery) -> Action) {
        self.actions.push(action(Delivery::Answered));
        if self.can_fail() {
            self.actions.push(action(Delivery::Late));
            if self.me().wire.is_none() {
                self.actions.push(action(Delivery::Stray));
            }
        }
    }

    /// What chance can decide about a claim in this state.
    fn chances(&self) -> Vec<Chance> {
        let runs = &self.state.store.runs;
        let waiting = runs
            .iter()
            .filter(|run| run.phase != Phase::Absent && run.phase != Phase::Ended || run.outbox);
        let firsts = if waiting.count() > 1 { RUNS as u8 } else { 1 };
        let dues: &[bool] = if runs.iter().any(|run| !run.delayed.is_empty()) {
            &[false, true]
        } else {
            &[false]
        };
        let adapts = self.state.store.endpoints.iter().any(|of| of.limit.is_some());
        let grows: &[bool] = if adapts { &[false, true] } else { &[false] };
        let mut chances = Vec::new();
        for first in 0..firsts {
            for due in dues {
                chances.extend(grows.iter().map(|grows| Chance {
                    due: *due,
                    first,
                    grows: *grows,
                }));
            }
        }
        chances
    }

    fn of_process(&mut self) {
        let worker = self.worker;
        let known = self.state.store.seats[usize::from(worker)].is_some();
        match self.me().process {
            Process::Absent => {}
            Process::Dead if known => {}
            Process::Dead => self.actions.push(Action::Restart { worker }),
            Process::Frozen => self.actions.push(Action::Thaw { worker }),
            Process::Up => {
                if self.can_fail() {
                    self.actions.push(Action::Crash { worker });
                    self.actions.push(Action::Freeze { worker });
                }
            }
        }
    }

    fn of_wire(&mut self) {
        if self.me().wire.is_some() {
            for chance in self.chances() {
                self.actions.push(Action::Arrive {
                    worker: self.worker,
                    chance,
                });
            }
        }
    }

    fn of_reaper(&mut self) {
        let worker = self.worker;
        let me = *self.me();
        if self.state.store.seats[usize::from(worker)].is_none() {
            return;
        }
        let holds = self.state.store.jobs[usize::from(worker)]
            .iter()
            .any(|jobs| !jobs.is_empty());
        let may_be_lost = match me.process {
            Process::Up => {
                let let_go = me.test.is_some_and(|held| held.step == TestStep::LetGo);
                // It lets go of Sequential tests by its own clock before its lease ends.
                let in_time = !self.fleet.scenario.sequential
                    || me.calling().is_none()
                    || self.fleet.has(Mutation::NoSelfRelease);
                holds && in_time && (let_go || self.can_fail())
            }
            Process::Frozen | Process::Dead => true,
            Process::Absent => false,
        };
        if may_be_lost {
            self.actions.push(Action::Reap { worker });
        }
        for run in 0..RUNS as u8 {
            for bit in self.state.store.jobs[usize::from(worker)][usize::from(run)].iter() {
                let job = Job::from_bit(bit);
                let owner = self.state.store.runs[usize::from(run)].owner(job);
                if owner.is_some_and(|owner| owner.token.worker == worker) {
                    self.of_deadline(run, job);
                }
            }
        }
    }

    /// Hard deadlines are longer than an attempt may take, and than an answer is waited for.
    fn of_deadline(&mut self, run: u8, job: Job) {
        let me = self.me();
        let is_over = match me.process {
            Process::Up if me.answer.is_some() => false,
            Process::Up if !me.knows(run, job) => true,
            Process::Up => self.can_fail() && !(self.fleet.scenario.sequential && matches!(job, Job::Test(_))),
            Process::Frozen => true,
            Process::Dead | Process::Absent => false,
        };
        if is_over {
            self.actions.push(Action::Overdue { run, job });
        }
    }

    fn of_pump(&mut self) {
        let worker = self.worker;
        let me = *self.me();
        if me.answer.is_some() {
            self.actions.push(Action::Receive { worker });
            self.actions.push(Action::GiveUp { worker });
        } else if me.unsure {
            self.call(|delivery| Action::Reconcile { worker, delivery });
        } else if me.seat == 0 {
            self.actions.push(Action::Register { worker });
        } else {
            self.of_turn(me);
        }
    }

    /// One turn of the pump: first what is given back, then results with the claim.
    fn of_turn(&mut self, me: Worker) {
        let worker = self.worker;
        if me.control.is_some_and(|held| held.step == ControlStep::Returning) {
            let job = me.control.map_or(Job::Collect, |held| held.job);
            self.call(|delivery| Action::HandBack { worker, job, delivery });
        }
        let scenario = &self.fleet.scenario;
        match me.test {
            None => self.complete(None),
            Some(held) => match held.step {
                TestStep::Done(kind) => self.complete(Some(kind)),
                TestStep::Closed => self.retry(Told::Plain),
                TestStep::LetGo => {
                    let job = Job::Test(held.index);
                    self.call(|delivery| Action::HandBack { worker, job, delivery });
                }
                TestStep::Running | TestStep::RunningFrozen | TestStep::Asking => {
                    let calls = held.step != TestStep::Asking;
                    self.complete(Some(Kind::Pass));
                    if scenario.judged && calls && !held.told {
                        self.vacate();
                    }
                    if scenario.erring {
                        self.complete(Some(Kind::Fail));
                    }
                    if scenario.failing && calls && held.attempt < scenario.attempts {
                        scenario.tells.iter().for_each(|told| self.retry(*told));
                    }
                    if scenario.handing_back {
                        let job = Job::Test(held.index);
                        self.call(|delivery| Action::HandBack { worker, job, delivery });
                    }
                    if me.control.is_none() {
                        self.complete(None);
                    }
                }
            },
        }
    }

    fn retry(&mut self, told: Told) {
        let worker = self.worker;
        self.call(|delivery| Action::Retry { worker, told, delivery });
    }

    fn vacate(&mut self) {
        let worker = self.worker;
        for chance in self.chances() {
            self.call(|delivery| Action::Vacate {
                worker,
                chance,
                delivery,
            });
        }
    }

    fn complete(&mut self, kind: Option<Kind>) {
        let worker = self.worker;
        for chance in self.chances() {
            self.call(|delivery| Action::Complete {
                worker,
                kind,
                chance,
                delivery,
            });
        }
    }

    fn of_heartbeat(&mut self) {
        let worker = self.worker;
        let me = self.me();
        let registered = self.state.store.seats[usize::from(worker)].is_some();
        let works = me.works();
        let is_closed = works.is_some_and(|held| {
            let run = &self.state.store.runs[usize::from(held.run)];
            !run.is_open() || run.epoch != held.epoch
        });
        if me.seat != 0 && (!registered || is_closed) {
            self.actions.push(Action::Heartbeat { worker });
        }
        let lets_go = self.fleet.scenario.sequential && !self.fleet.has(Mutation::NoSelfRelease);
        if works.is_some() && lets_go && self.can_fail() {
            self.actions.push(Action::LetGo { worker });
        }
    }

    /// Any test that did not pass may be tried once more. Once it has begun, a chunk in which nothing is left opens the run, too.
    fn recover(&mut self, run: u8, epoch: u8, begins: bool) {
        let worker = self.worker;
        if epoch > self.fleet.scenario.rounds {
            return;
        }
        let kept = self.state.store.runs[usize::from(run)].kept;
        for index in kept.iter().chain((!begins && kept.is_empty()).then_some(0)) {
            self.call(|delivery| Action::Recover {
                worker,
                index,
                last: true,
                delivery,
            });
            if begins {
                self.call(|delivery| Action::Recover {
                    worker,
                    index,
                    last: false,
                    delivery,
                });
            }
        }
    }

    fn of_control(&mut self) {
        let worker = self.worker;
        let Some(held) = self.me().control else { return };
        match (held.job, held.step) {
            (Job::Notify, ControlStep::Begun) => self.actions.push(Action::Extend { worker }),
            (_, ControlStep::Begun) => self.actions.push(Action::Read { worker }),
            (_, ControlStep::Missing(_)) => self.call(|delivery| Action::Fill { worker, delivery }),
            (_, ControlStep::Folded(_)) => {
                self.call(|delivery| Action::Collect { worker, delivery });
                self.recover(held.run, held.epoch, true);
            }
            (_, ControlStep::Recovering) => self.recover(held.run, held.epoch, false),
            (_, ControlStep::Sending) => {
                self.actions.push(Action::Send { worker, sent: true });
                self.actions.push(Action::Send { worker, sent: false });
            }
            (_, ControlStep::Tried(_)) => self.call(|delivery| Action::Settle { worker, delivery }),
            (_, ControlStep::Announcing) => self.actions.push(Action::Announce { worker }),
            (_, ControlStep::Returning) => {}
        }
    }
}
