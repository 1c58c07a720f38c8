//! Calls of a stub by the executor of a real worker, and their time over the one that latency and tests in flight alone would take.

use std::time::Duration;

use crate::bench::figure::{Figure, Measured, ratio};
use crate::bench::flag::{Flag, Given};
use crate::bench::plan::{Plan, Work};

pub(super) const TAKES: &[Flag] = &[
    Flag::Tests,
    Flag::Workers,
    Flag::Separate,
    Flag::Concurrency,
    Flag::Latency,
    Flag::Limits,
];

/// Tests in flight over all workers where nobody said how many.
const IN_FLIGHT: u32 = 200;
/// How long the stub takes where nobody said how long.
const LATENCY: Duration = Duration::from_millis(50);

pub(super) fn plan(plan: Plan, given: &Given) -> Plan {
    Plan {
        tests: given.tests.unwrap_or(plan.size(2_000, 1_000)),
        work: Work::Call,
        concurrency: given.concurrency.unwrap_or(IN_FLIGHT.div_ceil(plan.workers)),
        latency: Some(given.latency.unwrap_or(LATENCY)),
        ..plan
    }
}

/// Adds the time from activation to summary over the ideal one, where there is an ideal one.
pub(super) fn with_ideal(plan: &Plan, measured: Measured) -> Measured {
    let over = over_ideal(plan, measured.get(Figure::JobsPerS));
    measured.with_known(Figure::OverIdeal, over)
}

/// Calls × latency / tests in flight; no more are in flight than there are.
fn over_ideal(plan: &Plan, jobs_per_s: Option<f64>) -> Option<f64> {
    let in_flight = f64::from(plan.room()).min(plan.jobs());
    let ideal_s = plan.jobs() * plan.latency?.as_secs_f64() / in_flight;
    ratio(ratio(plan.jobs(), jobs_per_s?)?, ideal_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Workload;

    fn planned(given: &Given) -> Plan {
        plan(Plan::new(Workload::Http, given, 256), given)
    }

    #[test]
    fn two_hundred_are_in_flight_however_many_workers_there_are() {
        let three = Given {
            workers: Some(3),
            ..Given::default()
        };
        assert_eq!(planned(&Given::default()).room(), 200);
        assert_eq!(planned(&three).room(), 201);
    }

    #[test]
    fn the_ideal_is_calls_times_latency_over_those_in_flight() {
        let plan = planned(&Given::default());
        // 2,000 × 50 ms / 200 are half a second; a rate of 2,000/s is a whole one.
        let over = over_ideal(&plan, Some(2_000.0)).unwrap();
        assert!((over - 2.0).abs() < 1e-9, "{over}");
        let few = Plan {
            tests: 20,
            ..plan.clone()
        };
        let over = over_ideal(&few, Some(200.0)).unwrap();
        assert!((over - 2.0).abs() < 1e-9, "{over}");
        let instant = Plan {
            latency: Some(Duration::ZERO),
            ..plan
        };
        assert_eq!(over_ideal(&instant, Some(1.0)), None);
    }
}
