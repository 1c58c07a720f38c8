//! What a step does: to the store, by its transitions, and to the worker that takes it.

mod control;
mod pump;

use crate::action::{Action, Delivery};
use crate::call::{Answer, Call};
use crate::endpoint::{Breaker, Cause, Hold};
use crate::fleet::Fleet;
use crate::mutation::Mutation;
use crate::state::{Job, Phase, State, Token};
use crate::transition::{Chance, Going, Server};
use crate::worker::{Process, TestStep, Worker};

/// A step being taken.
pub(crate) struct Step<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) state: State,
}

impl Step<'_> {
    pub(crate) fn server(&mut self) -> Server<'_> {
        let calls = std::array::from_fn(|worker| {
            let call = self.state.workers[worker].call().filter(|held| !held.cut_off)?;
            let (run, index) = (call.run, call.index);
            let token = Token {
                worker: worker as u8,
                fence: call.fence,
            };
            Some(Going { run, index, token })
        });
        Server {
            store: &mut self.state.store,
            witness: &mut self.state.witness,
            scenario: &self.fleet.scenario,
            comer: None,
            calls,
        }
    }

    fn worker(&mut self, worker: u8) -> &mut Worker {
        &mut self.state.workers[usize::from(worker)]
    }

    fn pay(&mut self) {
        self.state.faults -= 1;
    }

    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Register { worker } => {
                let seat = self.server().register(worker);
                self.worker(worker).seat = seat;
            }
            Action::Complete {
                worker,
                kind,
                chance,
                delivery,
            } => self.complete(worker, kind, chance, delivery),
            Action::Retry { worker, told, delivery } => self.retry(worker, told, delivery),
            Action::Vacate {
                worker,
                chance,
                delivery,
            } => self.vacate(worker, chance, delivery),
            Action::HandBack { worker, job, delivery } => self.hand_back(worker, job, delivery),
            Action::Reconcile { worker, delivery } => self.reconcile(worker, delivery),
            Action::Receive { worker } => self.receive(worker),
            Action::GiveUp { worker } => {
                self.worker(worker).answer = None;
                self.worker(worker).lapsed = false;
                self.doubt(worker);
            }
            Action::Heartbeat { worker } => self.heartbeat(worker),
            Action::LetGo { worker } => {
                self.pay();
                self.worker(worker).test_at(TestStep::LetGo);
            }
            Action::Read { .. }
            | Action::Fill { .. }
            | Action::Collect { .. }
            | Action::Recover { .. }
            | Action::Announce { .. }
            | Action::Extend { .. }
            | Action::Send { .. }
            | Action::Settle { .. } => self.act_for_control(action),
            Action::Crash { worker } => {
                self.pay();
                self.worker(worker).crash();
            }
            Action::Restart { worker } => {
                let me = self.worker(worker);
                // Its successor has another name, so what the old one said about its jobs does not concern it.
                let wire = me.wire.filter(|call| !matches!(call, Call::Reconcile { .. }));
                *me = Worker {
                    process: Process::Up,
                    wire,
                    ..Worker::default()
                };
            }
            Action::Freeze { worker } => {
                self.pay();
                self.worker(worker).freeze();
            }
            Action::Thaw { worker } => self.worker(worker).process = Process::Up,
            Action::Arrive { worker, chance } => {
                if let Some(call) = self.worker(worker).wire.take() {
                    call.execute(&mut self.server(), worker, chance);
                }
            }
            Action::Reap { worker } => {
                let me = *self.worker(worker);
                if me.is_up() && me.test.is_none_or(|held| held.step != TestStep::LetGo) {
                    self.pay();
                }
                self.lapse(worker);
                self.worker(worker).cut_off();
                self.end_lingering(worker);
                self.server().reap(worker);
            }
            Action::Overdue { run, job } => self.overdue(run, job),
            Action::Cancel { run } => self.server().cancel(run),
            Action::Deadline { run } | Action::Requeue { run } | Action::OpenReopened { run } => {
                self.server().sweep(run)
            }
            Action::Pause { run } => self.server().pause(run),
            Action::Resume { run } => self.server().resume(run),
            Action::Reopen { run, index, last } => {
                let of = &self.state.store.runs[usize::from(run)];
                let epoch = of.epoch + u8::from(of.phase == Phase::Ended);
                self.server().reopen(run, epoch, index, last);
            }
            Action::SetEndpoint { endpoint, set } => self.server().set_endpoint(endpoint, set),
            Action::HoldEndpoint { endpoint, hold } => self.server().hold_endpoint(endpoint, hold),
            Action::ReleaseEndpoint { endpoint } => self.server().release_endpoint(endpoint),
            Action::Come { endpoint, cause } => self.come(endpoint, cause),
            Action::Expire { endpoint, place } => self.expire(endpoint, place),
        }
    }

    /// Its time has come, and that of the entry in `wakes` that was made of it.
    fn come(&mut self, endpoint: u8, cause: Cause) {
        let burst = self.fleet.scenario.rate;
        let of = &mut self.state.store.endpoints[usize::from(endpoint)];
        if of.awaits(cause, burst) {
            match cause {
                Cause::Hold => of.hold = Hold::None,
                Cause::RetryAfter => of.retry_after = false,
                Cause::Breaker => of.breaker = Breaker::HalfOpen,
                Cause::Rate => of.credit += 1,
                Cause::Lingering => {}
            }
        }
        of.come(cause);
    }

    /// A call lingers no more. A live worker has been told that its run is closed by then, unless it is cut off.
    fn expire(&mut self, endpoint: u8, place: u8) {
        let of = &self.state.store.endpoints[usize::from(endpoint)];
        let Some(call) = of.lingering().nth(usize::from(place)) else {
            return;
        };
        let worker = call.token.worker;
        let me = *self.worker(worker);
        if me.call().is_some_and(|held| held.fence == call.token.fence) {
            if me.is_up() {
                self.pay();
            }
            self.worker(worker).cut_off();
        }
        if !me.is_up() {
            self.lapse(worker);
        }
        let of = &mut self.state.store.endpoints[usize::from(endpoint)];
        of.forget(|other| other == call);
        of.come(Cause::Lingering);
    }

    /// The lease of a worker has ended, and so has the time that its calls could linger.
    fn end_lingering(&mut self, worker: u8) {
        if self.fleet.has(Mutation::LingeringForever) {
            return;
        }
        for of in &mut self.state.store.endpoints {
            if of.forget(|call| call.token.worker == worker) {
                of.come(Cause::Lingering);
            }
        }
    }

    /// The lease of a worker has ended, which its own clock tells it before it takes an answer.
    fn lapse(&mut self, worker: u8) {
        let me = self.worker(worker);
        me.lapsed = me.answer.is_some();
    }

    fn overdue(&mut self, run: u8, job: Job) {
        if let Some(owner) = self.state.store.runs[usize::from(run)].owner(job) {
            let holder = owner.token.worker;
            if self.worker(holder).is_up() && self.worker(holder).knows(run, job) {
                self.pay();
            }
            self.lapse(holder);
            if self.worker(holder).knows(run, job) && job != Job::Collect && job != Job::Notify {
                self.worker(holder).cut_off();
            }
        }
        self.server().overdue(run, job);
    }

    /// Sends a call. `None`: there is no answer.
    fn send(&mut self, worker: u8, call: Call, chance: Chance, delivery: Delivery) -> Option<Answer> {
        match delivery {
            Delivery::Answered => Some(call.execute(&mut self.server(), worker, chance)),
            Delivery::Late => {
                self.pay();
                let answer = call.execute(&mut self.server(), worker, chance);
                if let Answer::Claimed(_, grant) = answer {
                    self.worker(worker).answer = Some(grant);
                }
                None
            }
            Delivery::Stray => {
                self.pay();
                self.worker(worker).wire = Some(call);
                None
            }
        }
    }
}
