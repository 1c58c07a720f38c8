//! What a worker makes of a collection or a notification it holds.

use super::Step;
use crate::action::Action;
use crate::call::{Answer, Call};
use crate::set::Set;
use crate::state::{Phase, Token};
use crate::transition::{Chance, Word};
use crate::worker::ControlStep;

impl Step<'_> {
    pub(super) fn act_for_control(&mut self, action: Action) {
        let (Action::Read { worker }
        | Action::Fill { worker, .. }
        | Action::Collect { worker, .. }
        | Action::Recover { worker, .. }
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
            (
                Action::Recover {
                    index, last, delivery, ..
                },
                ControlStep::Folded(_) | ControlStep::Recovering,
            ) => {
                let call = Call::Recover {
                    run,
                    fence,
                    epoch: held.epoch + 1,
                    index,
                    last,
                };
                match self.send(worker, call, Chance::default(), delivery) {
                    Some(Answer::Word(Word::Done)) if last => self.worker(worker).control = None,
                    Some(Answer::Word(Word::Done)) => self.worker(worker).control_at(ControlStep::Recovering),
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
