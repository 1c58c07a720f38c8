//! One run whose tests are released one by one: what a step costs from a result to the next call.

use testfleet_model::ExecutionMode;

use crate::bench::flag::{Flag, Given};
use crate::bench::plan::Plan;

pub(super) const TAKES: &[Flag] = &[
    Flag::Tests,
    Flag::Workers,
    Flag::Separate,
    Flag::Concurrency,
    Flag::Limits,
];

pub(super) fn plan(plan: Plan, given: &Given) -> Plan {
    Plan {
        tests: given.tests.unwrap_or(plan.size(10_000, 1_000)),
        mode: ExecutionMode::Sequential,
        ..plan
    }
}
