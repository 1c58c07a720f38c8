//! States that differ only in names are one state: fences and epochs are compared and never counted, and workers differ
//! only in what they do.

use crate::call::Call;
use crate::state::{Job, State, Token, WORKERS};
use crate::transition::{Given, Grant};
use crate::worker::Worker;

impl State {
    /// The one state that stands for all that differ from this one only in names.
    #[must_use]
    pub(crate) fn canonical(mut self) -> Self {
        self.rank_numbers();
        let swapped = self.swapped();
        self.min(swapped)
    }

    /// Numbers 1, 2, … in the order of those in use.
    fn rank_numbers(&mut self) {
        let mut used = 0u64;
        self.each_number(&mut |number| used |= 1 << *number);
        used &= !1;
        self.each_number(&mut |number| {
            if *number > 0 {
                *number = (used & ((1 << *number) - 1)).count_ones() as u8 + 1;
            }
        });
        self.store.drawn = used.count_ones() as u8;
    }

    /// The same with the names of the workers exchanged.
    fn swapped(mut self) -> Self {
        self.workers.reverse();
        self.store.seats.reverse();
        self.store.jobs.reverse();
        self.each_token(&mut |token| token.worker = WORKERS as u8 - 1 - token.worker);
        self
    }

    fn each_token(&mut self, change: &mut impl FnMut(&mut Token)) {
        for endpoint in &mut self.store.endpoints {
            endpoint.each_token(change);
        }
        for run in &mut self.store.runs {
            let owners = run
                .owners
                .iter_mut()
                .chain([&mut run.collect.owner, &mut run.notify.owner]);
            owners.flatten().for_each(|owner| change(&mut owner.token));
            run.last.iter_mut().flatten().for_each(&mut *change);
            run.recovering.iter_mut().for_each(&mut *change);
        }
        for seen in &mut self.witness.runs {
            let rights = seen.tests.iter_mut().chain([&mut seen.collect, &mut seen.notify]);
            rights.flatten().for_each(&mut *change);
        }
    }

    fn each_number(&mut self, change: &mut impl FnMut(&mut u8)) {
        self.each_token(&mut |token| change(&mut token.fence));
        self.store.seats.iter_mut().flatten().for_each(&mut *change);
        for worker in &mut self.workers {
            worker.each_number(change);
        }
    }
}

impl Worker {
    fn each_number(&mut self, change: &mut impl FnMut(&mut u8)) {
        change(&mut self.seat);
        if let Some(held) = &mut self.test {
            change(&mut held.fence);
        }
        if let Some(held) = &mut self.control {
            change(&mut held.fence);
        }
        if let Some(Grant::Jobs { test, control }) = &mut self.answer {
            let given = [test, control].into_iter().flatten();
            given.for_each(|Given { fence, .. }| change(fence));
        }
        if let Some(call) = &mut self.wire {
            call.each_number(change);
        }
    }
}

impl Call {
    fn each_number(&mut self, change: &mut impl FnMut(&mut u8)) {
        match self {
            Self::Complete { epoch, result, .. } => {
                change(epoch);
                if let Some(of) = result {
                    change(&mut of.fence);
                }
            }
            Self::Reconcile { epoch, known } => {
                change(epoch);
                known
                    .iter_mut()
                    .flatten()
                    .for_each(|(_, _, fence): &mut (u8, Job, u8)| change(fence));
            }
            Self::Retry { fence, .. }
            | Self::Vacate { fence, .. }
            | Self::HandBack { fence, .. }
            | Self::Fill { fence, .. }
            | Self::Collect { fence, .. }
            | Self::Recover { fence, .. }
            | Self::Settle { fence, .. } => change(fence),
        }
    }
}
