//! Many runs: small ones that share an endpoint, or one at each of many endpoints.

use crate::bench::flag::{Flag, Given};
use crate::bench::plan::Plan;

pub(super) const TAKES: &[Flag] = &[
    Flag::Tests,
    Flag::Runs,
    Flag::Mode,
    Flag::Workers,
    Flag::Separate,
    Flag::Concurrency,
    Flag::Limits,
];

pub(super) fn runs(plan: Plan, given: &Given) -> Plan {
    Plan {
        runs: given.runs.unwrap_or(plan.size(5_000, 500)),
        tests: given.tests.unwrap_or(8),
        ..plan
    }
}

pub(super) fn endpoints(plan: Plan, given: &Given) -> Plan {
    Plan {
        runs: given.runs.unwrap_or(plan.size(1_000, 200)),
        tests: given.tests.unwrap_or(plan.size(100, 20)),
        own_endpoints: true,
        ..plan
    }
}
