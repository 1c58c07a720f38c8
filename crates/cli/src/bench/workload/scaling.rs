//! The same work by one worker process, by two, and so on: with work that the server limits, and with work that they limit.

use std::time::Duration;

use crate::bench::flag::{Flag, Given};
use crate::bench::plan::{Plan, Work};

pub(super) const TAKES: &[Flag] = &[Flag::Tests, Flag::Workers, Flag::Concurrency, Flag::Limits];

/// Worker processes of the last case where nobody said how many.
const MOST: u32 = 4;

/// Tests that do nothing: with enough workers the server has no time left.
pub(super) fn doing_nothing(plan: &Plan, given: &Given) -> Vec<Plan> {
    let tests = given.tests.unwrap_or(plan.size(100_000, 20_000));
    cases(plan, given, tests)
}

/// Calls that take no time: what a worker does with a call is all there is to do.
pub(super) fn calling(plan: &Plan, given: &Given) -> Vec<Plan> {
    let called = Plan {
        work: Work::Call,
        latency: Some(Duration::ZERO),
        ..plan.clone()
    };
    let tests = given.tests.unwrap_or(plan.size(20_000, 4_000));
    cases(&called, given, tests)
}

fn cases(plan: &Plan, given: &Given, tests: u32) -> Vec<Plan> {
    let case = |workers| Plan {
        case: Some(format!("{workers} worker{}", if workers == 1 { "" } else { "s" })),
        tests,
        workers,
        separate: true,
        ..plan.clone()
    };
    (1..=given.workers.unwrap_or(MOST)).map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Workload;

    #[test]
    fn there_is_a_case_for_each_number_of_processes() {
        let given = Given {
            workers: Some(2),
            ..Given::default()
        };
        let plans = Workload::ScalingHttp.plans(&given, 256);
        let cases: Vec<(Option<&str>, u32, bool)> = plans
            .iter()
            .map(|plan| (plan.case.as_deref(), plan.workers, plan.separate))
            .collect();
        assert_eq!(cases, [(Some("1 worker"), 1, true), (Some("2 workers"), 2, true)]);
        assert!(plans.iter().all(|plan| plan.work == Work::Call));
    }
}
