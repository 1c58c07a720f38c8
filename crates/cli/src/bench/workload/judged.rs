//! Calls of an endpoint with few places whose answers are judged for longer than they took: the time over the one in which no
//! place is ever empty.

use std::time::Duration;

use crate::bench::figure::{Figure, Measured, ratio};
use crate::bench::flag::{Flag, Given};
use crate::bench::plan::{Judged, Plan, Work};

pub(super) const TAKES: &[Flag] = &[
    Flag::Tests,
    Flag::Workers,
    Flag::Separate,
    Flag::Concurrency,
    Flag::Latency,
    Flag::Limits,
];

/// `max_concurrency` of the endpoint.
const PLACES: u32 = 20;
/// How much longer the judge takes than the endpoint.
const TIMES_LONGER: u32 = 10;
/// How long the endpoint takes where nobody said how long.
const LATENCY: Duration = Duration::from_millis(50);

pub(super) fn plan(plan: Plan, given: &Given) -> Plan {
    let latency = given.latency.unwrap_or(LATENCY);
    Plan {
        tests: given.tests.unwrap_or(plan.size(1_000, 400)),
        work: Work::Call,
        // Enough for all that are being judged.
        concurrency: given
            .concurrency
            .unwrap_or((2 * PLACES * (TIMES_LONGER + 1)).div_ceil(plan.workers)),
        latency: Some(latency),
        judged: Some(Judged {
            places: PLACES,
            latency: latency * TIMES_LONGER,
        }),
        ..plan
    }
}

/// Adds the time from activation to summary over the ideal one, where there is an ideal one.
pub(super) fn with_ideal(plan: &Plan, measured: Measured) -> Measured {
    let over = over_ideal(plan, measured.get(Figure::JobsPerS));
    measured.with_known(Figure::OverIdeal, over)
}

/// Calls × latency / places, and once what the judge takes; no more places are taken than there are calls.
fn over_ideal(plan: &Plan, jobs_per_s: Option<f64>) -> Option<f64> {
    let Judged { places, latency } = plan.judged?;
    let places = f64::from(places.min(plan.room())).min(plan.jobs());
    let ideal_s = plan.jobs() * plan.latency?.as_secs_f64() / places + latency.as_secs_f64();
    ratio(ratio(plan.jobs(), jobs_per_s?)?, ideal_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Workload;

    #[test]
    fn the_ideal_has_no_empty_place_and_waits_for_the_judge_once() {
        let given = Given::default();
        let plan = plan(Plan::new(Workload::Judged, &given, 256), &given);
        assert_eq!((plan.tests, plan.room()), (1_000, 440));
        // 1,000 × 50 ms / 20 are 2.5 s, and the last answer is judged for half a second; a rate of 250/s makes 4 s.
        let over = over_ideal(&plan, Some(250.0)).unwrap();
        assert!((over - 4.0 / 3.0).abs() < 1e-9, "{over}");
        assert_eq!(over_ideal(&plan, None), None);
    }
}
