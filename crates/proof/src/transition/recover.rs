//! `recover.lua`, with chunks of one test.

use super::{Server, Word};
use crate::mutation::Mutation;
use crate::set::{Line, Set, TESTS};
use crate::state::{Job, Phase, Token};

impl Server<'_> {
    /// Takes one test back under the right of the collection. The first call ends the collection and begins the next epoch, the
    /// `last` one opens the run.
    pub(crate) fn recover(&mut self, run: u8, token: Token, epoch: u8, index: u8, last: bool) -> Word {
        let unfenced = self.has(Mutation::RecoverWithoutFence);
        let of = *self.run(run);
        let chosen = of.kept.contains(index) && of.results[usize::from(index)].is_some();
        match of.phase {
            Phase::Collecting => {
                let ours = self.holds(run, Job::Collect, token) || unfenced;
                let spent = self.scenario.budget.is_some_and(|budget| of.requests >= budget);
                let complete = of.result_count() == of.total;
                if !ours || of.epoch + 1 != epoch || of.stopped || spent || !complete || !chosen {
                    return Word::Refused;
                }
                self.begin_round(run, token, epoch);
            }
            Phase::Reopening if of.epoch == epoch && (of.recovering == Some(token) || unfenced) => {}
            _ => return Word::Refused,
        }
        if chosen {
            let of = self.run(run);
            of.results[usize::from(index)] = None;
            of.payloads.insert(index);
            of.kept.remove(index);
            of.again.insert_sorted(index);
            self.witness.runs[usize::from(run)].chosen.insert(index);
        }
        self.write_countdown(run);
        if last {
            self.open_run(run);
        }
        Word::Done
    }

    fn begin_round(&mut self, run: u8, token: Token, epoch: u8) {
        if !self.has(Mutation::RecoverKeepsCollection)
            && let Some(owner) = self.run(run).collect.owner
        {
            self.free(run, Job::Collect, owner.token.worker);
        }
        let of = self.run(run);
        of.collect.queued = false;
        of.next = of.total;
        of.again = Line::default();
        of.tries = [0; TESTS];
        of.waits = [0; TESTS];
        of.unmet = Set::default();
        of.group_slots = Set::default();
        of.group_waiting = Line::default();
        of.phase = Phase::Reopening;
        of.epoch = epoch;
        of.recovering = Some(token);
        // Until the run is opened nobody else may take its results back.
        *self.witness.right(run, Job::Collect) = Some(token);
        let seen = &mut self.witness.runs[usize::from(run)];
        seen.spent = [0; TESTS];
        seen.chosen = Set::default();
    }
}
