//! What a process was doing when it came to stand still. It may go on with a call that it was making; it may begin none.

use testfleet_model::RunId;
use testfleet_stub::Call;

use crate::ground::Ground;

/// Taken while the process stands still.
pub(crate) struct Standstill {
    /// For each test: how often the process was given it, and the endpoint has not been called for it. A call may lie
    /// between the decision to make it and the first byte that the endpoint sees; that cannot be seen from outside.
    in_the_making: Vec<usize>,
}

impl Standstill {
    /// Of the only process that has worked on a run of so many tests since these calls had been made.
    pub(crate) fn of(ground: &Ground, run: RunId, tests: usize, before: &[Call]) -> Self {
        let (replies, calls) = (ground.proxy.replies(), ground.fleet.calls_of(run));
        let in_the_making = (0..tests)
            .map(|index| {
                // Only claims carry a test as it is stored.
                let stored = format!("{{\"id\":\"t-{index}\",\"input\"");
                let given: usize = replies.iter().map(|reply| reply.matches(&stored).count()).sum();
                let called = calls_of_test(&calls, index) - calls_of_test(before, index);
                given.saturating_sub(called)
            })
            .collect();
        Self { in_the_making }
    }

    /// Calls that the process has begun since `before`, although nobody asked for them any more, as sentences. Nobody
    /// else may have called meanwhile.
    pub(crate) fn calls_begun(&self, before: &[Call], after: &[Call]) -> Vec<String> {
        let mut found = Vec::new();
        for (index, allowed) in self.in_the_making.iter().enumerate() {
            let more = calls_of_test(after, index) - calls_of_test(before, index);
            if more > *allowed {
                found.push(format!("the thawed worker called t-{index} of a run that had ended"));
            }
        }
        found
    }
}

fn calls_of_test(calls: &[Call], index: usize) -> usize {
    let name = format!("t-{index}");
    calls
        .iter()
        .filter(|call| call.identity.test.as_ref() == Some(&name))
        .count()
}
