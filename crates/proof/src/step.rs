//! What a step does: to the store, by its transitions, and to the worker that takes it.

use crate::action::{Action, Delivery};
use crate::call::{Answer, Call};
use crate::fleet::Fleet;
use crate::mutation::Mutation;
use crate::set::Set;
use crate::state::{Job, Kind, Outcome, Phase, State, Token};
use crate::transition::{Chance, Grant, Reconciled, Server, Settlement, Word};
use crate::witness::Breach;
use crate::worker::{ControlStep, HeldControl, Process, TestStep, Worker};

/// A step being taken.
pub(crate) struct Step<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) state: State,
}

impl Step<'_> {
    pub(crate) fn server(&mut self) -> Server<'_> {
        Server {
            store: &mut self.state.store,
            witness: &mut self.state.witness,
            scenario: &self.fleet.scenario,
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
            Action::Retry { worker, delivery } => self.retry(worker, delivery),
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

    /// A claim may have been answered and the answer lost.
    fn doubt(&mut self, worker: u8) {
        let reconciles = !self.fleet.has(Mutation::NoReconcile);
        self.worker(worker).unsure = reconciles;
    }

    fn complete(&mut self, worker: u8, kind: Option<Kind>, chance: Chance, delivery: Delivery) {
        let me = *self.worker(worker);
        let settled = me.test.zip(kind).map(|(held, kind)| Settlement {
            run: held.run,
            index: held.index,
            fence: held.fence,
            outcome: Outcome {
                kind,
                epoch: held.epoch,
            },
        });
        let call = Call::Complete {
            epoch: me.seat,
            result: settled,
            tests: me.test.is_none() || settled.is_some(),
            control: me.control.is_none(),
        };
        match self.send(worker, call, chance, delivery) {
            Some(Answer::Claimed(word, grant)) => {
                if settled.is_some() {
                    self.worker(worker).test = None;
                }
                self.take(worker, grant);
                self.announce_later(worker, word, settled);
            }
            _ => {
                if let Some(kind) = kind {
                    self.worker(worker).test_at(TestStep::Done(kind));
                }
                if self.worker(worker).answer.is_none() {
                    self.doubt(worker);
                }
            }
        }
    }

    fn take(&mut self, worker: u8, grant: Grant) {
        let scenario = &self.fleet.scenario;
        let lapsed = std::mem::take(&mut self.worker(worker).lapsed);
        let trusts = !lapsed || scenario.has(Mutation::LateAnswerStarts);
        let attempts = scenario.attempts;
        let before = self.worker(worker).test;
        self.worker(worker).take(grant, attempts, trusts);
        if self.worker(worker).test != before {
            self.testify(worker);
        }
    }

    /// What the witness thinks of a call that begins: while its run is open in the same epoch, its right must be valid. A
    /// cancel may take it a moment before.
    fn testify(&mut self, worker: u8) {
        let Some(held) = self.worker(worker).test.filter(|held| held.step == TestStep::Running) else {
            return;
        };
        let run = &self.state.store.runs[usize::from(held.run)];
        let token = Token {
            worker,
            fence: held.fence,
        };
        let right = *self.state.witness.right(held.run, Job::Test(held.index));
        if run.is_open() && run.epoch == held.epoch && right != Some(token) {
            self.state.witness.note(Breach::StaleCall);
        }
    }

    fn announce_later(&mut self, worker: u8, word: Word, settled: Option<Settlement>) {
        let Some(of) = settled.filter(|_| word == Word::Done && self.fleet.has(Mutation::CollectionByCaller)) else {
            return;
        };
        let run = self.state.store.runs[usize::from(of.run)];
        if run.phase == Phase::Collecting && !run.collect.queued && run.collect.owner.is_none() {
            let (fence, epoch, step) = (0, run.epoch, ControlStep::Announcing);
            self.worker(worker).control = Some(HeldControl {
                run: of.run,
                job: Job::Collect,
                fence,
                epoch,
                step,
            });
        }
    }

    fn receive(&mut self, worker: u8) {
        let me = self.worker(worker);
        let Some(grant) = me.answer.take() else { return };
        if me.test.is_some_and(|held| matches!(held.step, TestStep::Done(_))) {
            me.test = None;
        }
        self.take(worker, grant);
    }

    fn retry(&mut self, worker: u8, delivery: Delivery) {
        let Some(held) = self.worker(worker).test else { return };
        let call = Call::Retry {
            run: held.run,
            index: held.index,
            fence: held.fence,
        };
        // Repeated until it is answered; the attempt is over in any case.
        match self.send(worker, call, Chance::default(), delivery) {
            Some(_) => self.worker(worker).test = None,
            None => self.worker(worker).test_at(TestStep::Closed),
        }
    }

    fn hand_back(&mut self, worker: u8, job: Job, delivery: Delivery) {
        let Some((run, job, fence)) = self
            .worker(worker)
            .known()
            .into_iter()
            .flatten()
            .find(|(_, what, _)| *what == job)
        else {
            return;
        };
        let answer = self.send(worker, Call::HandBack { run, job, fence }, Chance::default(), delivery);
        let me = self.worker(worker);
        match (job, answer) {
            (Job::Test(_), Some(_)) => me.test = None,
            (Job::Test(_), None) => me.test_at(TestStep::LetGo),
            (_, Some(_)) => me.control = None,
            (_, None) => {}
        }
    }

    fn reconcile(&mut self, worker: u8, delivery: Delivery) {
        let known = self.worker(worker).known();
        let epoch = self.worker(worker).seat;
        let Some(Answer::Epoch(answer)) =
            self.send(worker, Call::Reconcile { epoch, known }, Chance::default(), delivery)
        else {
            return;
        };
        let me = self.worker(worker);
        match answer {
            Reconciled::Begun(epoch) => {
                me.seat = epoch;
                me.unsure = false;
            }
            Reconciled::Stale(epoch) => me.seat = epoch,
            Reconciled::Unregistered => me.lose_seat(),
        }
    }

    fn heartbeat(&mut self, worker: u8) {
        let run = self.worker(worker).test.map(|held| held.run);
        let (registered, closed) = self.server().heartbeat(worker, run);
        let me = self.worker(worker);
        let calls = me
            .test
            .is_some_and(|held| matches!(held.step, TestStep::Running | TestStep::RunningFrozen));
        if !registered {
            if me.test.is_some_and(|held| !matches!(held.step, TestStep::Done(_))) {
                me.test = None;
            }
            me.control = None;
            return;
        }
        if calls && closed {
            me.test_at(TestStep::Closed);
        }
    }

    fn act_for_control(&mut self, action: Action) {
        let (Action::Read { worker }
        | Action::Fill { worker, .. }
        | Action::Collect { worker, .. }
        | Action::Announce { worker }
        | Action::Extend { worker }
        | Action::Send { worker, .. }
        | Action::Settle { worker, .. }) = action
        else {
            return;
        };
        let Some(held) = self.worker(worker).control else {
            return;
        };
        let (run, fence) = (held.run, held.fence);
        match (action, held.step) {
            (Action::Read { .. }, _) => {
                let step = self.read(run);
                self.worker(worker).control_at(step);
            }
            (Action::Fill { delivery, .. }, ControlStep::Missing(missing)) => {
                let answer = self.send(worker, Call::Fill { run, fence, missing }, Chance::default(), delivery);
                let filled = matches!(answer, Some(Answer::Word(Word::Done)));
                self.worker(worker).control_at(if filled {
                    ControlStep::Begun
                } else {
                    ControlStep::Returning
                });
            }
            (Action::Collect { delivery, .. }, ControlStep::Folded(summary)) => {
                match self.send(
                    worker,
                    Call::Collect { run, fence, summary },
                    Chance::default(),
                    delivery,
                ) {
                    Some(Answer::Word(Word::Done)) => self.worker(worker).control = None,
                    _ => self.worker(worker).control_at(ControlStep::Returning),
                }
            }
            (Action::Announce { .. }, _) => {
                self.worker(worker).control = None;
                self.state.store.runs[usize::from(run)].collect.queued = true;
            }
            (Action::Extend { .. }, _) => {
                let token = Token { worker, fence };
                match self.server().extend(run, held.job, token) {
                    true => self.worker(worker).control_at(ControlStep::Sending),
                    false => self.worker(worker).control = None,
                }
            }
            (Action::Send { sent, .. }, _) => {
                let seen = &mut self.state.witness.runs[usize::from(run)];
                if sent && self.state.store.runs[usize::from(run)].epoch == held.epoch {
                    seen.mails = (seen.mails + 1).min(4);
                }
                self.worker(worker).control_at(ControlStep::Tried(sent));
            }
            (Action::Settle { delivery, .. }, ControlStep::Tried(sent)) => {
                let answer = self.send(worker, Call::Settle { run, fence, sent }, Chance::default(), delivery);
                if answer.is_some() {
                    self.worker(worker).control = None;
                }
            }
            _ => {}
        }
    }

    /// What a collection finds: a closed run, missing results, or all of them.
    fn read(&mut self, run: u8) -> ControlStep {
        let run = &self.state.store.runs[usize::from(run)];
        let missing: Set = Set::below(run.total)
            .iter()
            .filter(|index| run.results[usize::from(*index)].is_none())
            .collect();
        match run.phase {
            Phase::Collecting if missing.is_empty() => ControlStep::Folded(run.results),
            Phase::Collecting => ControlStep::Missing(missing),
            _ => ControlStep::Returning,
        }
    }
}
