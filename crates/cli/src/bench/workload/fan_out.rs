//! One run, all of whose tests can be claimed at once.

use crate::bench::flag::{Flag, Given};
use crate::bench::plan::Plan;

pub(super) const TAKES: &[Flag] = &[
    Flag::Tests,
    Flag::Mode,
    Flag::Workers,
    Flag::Separate,
    Flag::Concurrency,
    Flag::Limits,
];

pub(super) fn plan(plan: Plan, given: &Given) -> Plan {
    Plan {
        tests: given.tests.unwrap_or(plan.size(100_000, 20_000)),
        ..plan
    }
}
