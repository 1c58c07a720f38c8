//! What the number of tests in flight costs: each waits for as long as a call would take, so that many are held at once.

use std::time::Duration;

use crate::bench::flag::{Flag, Given};
use crate::bench::plan::{Plan, Work};

pub(super) const TAKES: &[Flag] = &[Flag::Tests, Flag::Workers, Flag::Latency, Flag::Limits];

/// Tests in flight over all workers.
const SIZES: [u32; 4] = [256, 1_000, 4_000, 16_000];
/// How often each place is taken, at least.
const ROUNDS: u32 = 4;
/// How long a test waits where nobody said how long.
const LATENCY: Duration = Duration::from_millis(100);

pub(super) fn plans(plan: &Plan, given: &Given) -> Vec<Plan> {
    let case = |size: u32| {
        let enough = (size * plan.size(ROUNDS, 1)).max(plan.size(10_000, 1_000));
        Plan {
            case: Some(format!("{size} in flight")),
            tests: given.tests.unwrap_or(enough),
            work: Work::Wait,
            concurrency: size.div_ceil(plan.workers),
            latency: Some(given.latency.unwrap_or(LATENCY)),
            ..plan.clone()
        }
    };
    SIZES.map(case).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Workload;

    #[test]
    fn workers_share_what_is_in_flight() {
        let given = Given {
            workers: Some(3),
            ..Given::default()
        };
        let plans = Workload::InFlight.plans(&given, 256);
        let rooms: Vec<u32> = plans.iter().map(Plan::room).collect();
        assert_eq!(rooms, [258, 1_002, 4_002, 16_002]);
        assert_eq!(plans[3].tests, 64_000);
    }
}
