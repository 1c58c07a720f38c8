//! What a worker's pump and heartbeat make of calls and their answers.

use super::Step;
use crate::action::Delivery;
use crate::call::{Answer, Call};
use crate::mutation::Mutation;
use crate::state::{Job, Kind, Outcome, Phase, Token};
use crate::transition::{Chance, Grant, Reconciled, Settlement, Told, Word};
use crate::witness::Breach;
use crate::worker::{ControlStep, HeldControl, TestStep};

impl Step<'_> {
    /// A claim may have been answered and the answer lost.
    pub(super) fn doubt(&mut self, worker: u8) {
        let reconciles = !self.fleet.has(Mutation::NoReconcile);
        self.worker(worker).unsure = reconciles;
    }

    pub(super) fn complete(&mut self, worker: u8, kind: Option<Kind>, chance: Chance, delivery: Delivery) {
        let me = *self.worker(worker);
        let settled = me.test.zip(kind).map(|(held, kind)| Settlement {
            run: held.run,
            index: held.index,
            fence: held.fence,
            outcome: Outcome {
                kind,
                epoch: held.epoch,
            },
            unsent: !held.sent,
            told: held.told,
        });
        let call = Call::Complete {
            epoch: me.seat,
            result: settled,
            tests: me.test.is_none() || settled.is_some(),
            control: me.control.is_none(),
        };
        if let Some(kind) = kind {
            // The call of the endpoint is over before its result is sent.
            self.worker(worker).test_at(TestStep::Done(kind));
        }
        match self.send(worker, call, chance, delivery) {
            Some(Answer::Claimed(word, grant)) => {
                if settled.is_some() {
                    self.worker(worker).test = None;
                }
                self.take(worker, grant);
                self.announce_later(worker, word, settled);
            }
            _ => {
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
        if let Some(budget) = self.fleet.scenario.budget {
            let seen = &mut self.state.witness.runs[usize::from(held.run)];
            if self.state.store.runs[usize::from(held.run)].epoch == held.epoch {
                seen.calls = (seen.calls + 1).min(budget + 1);
            }
        }
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

    pub(super) fn receive(&mut self, worker: u8) {
        let me = self.worker(worker);
        let Some(grant) = me.answer.take() else { return };
        if me.test.is_some_and(|held| matches!(held.step, TestStep::Done(_))) {
            me.test = None;
        }
        self.take(worker, grant);
    }

    pub(super) fn retry(&mut self, worker: u8, told: Told, delivery: Delivery) {
        let Some(held) = self.worker(worker).test else { return };
        let call = Call::Retry {
            run: held.run,
            index: held.index,
            fence: held.fence,
            told,
        };
        // Repeated until it is answered; the attempt is over in any case.
        self.worker(worker).test_at(TestStep::Closed);
        if self.send(worker, call, Chance::default(), delivery).is_some() {
            self.worker(worker).test = None;
        }
    }

    pub(super) fn vacate(&mut self, worker: u8, chance: Chance, delivery: Delivery) {
        let Some(held) = self.worker(worker).test else { return };
        let call = Call::Vacate {
            run: held.run,
            index: held.index,
            fence: held.fence,
        };
        // The call of the endpoint is over before its slot is given back. Where no answer comes, the result frees the slot.
        if !self.fleet.has(Mutation::VacateEarly) {
            self.worker(worker).test_at(TestStep::Asking);
        }
        if self.send(worker, call, chance, delivery).is_some()
            && let Some(held) = &mut self.worker(worker).test
        {
            held.told = true;
        }
    }

    pub(super) fn hand_back(&mut self, worker: u8, job: Job, delivery: Delivery) {
        let Some((run, job, fence)) = self
            .worker(worker)
            .known()
            .into_iter()
            .flatten()
            .find(|(_, what, _)| *what == job)
        else {
            return;
        };
        if let Job::Test(_) = job {
            self.worker(worker).test_at(TestStep::LetGo);
        }
        let answer = self.send(worker, Call::HandBack { run, job, fence }, Chance::default(), delivery);
        let me = self.worker(worker);
        match (job, answer) {
            (Job::Test(_), Some(_)) => me.test = None,
            (Job::Collect | Job::Notify, Some(_)) => me.control = None,
            (_, None) => {}
        }
    }

    pub(super) fn reconcile(&mut self, worker: u8, delivery: Delivery) {
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

    pub(super) fn heartbeat(&mut self, worker: u8) {
        let run = self.worker(worker).test.map(|held| (held.run, held.epoch));
        let (registered, closed) = self.server().heartbeat(worker, run);
        let me = self.worker(worker);
        let works = me.works().is_some();
        if !registered {
            if me.test.is_some_and(|held| !matches!(held.step, TestStep::Done(_))) {
                me.test = None;
            }
            me.control = None;
            return;
        }
        if works && closed {
            me.test_at(TestStep::Closed);
        }
    }
}
