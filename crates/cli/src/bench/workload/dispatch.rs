//! Staging alone: a run is submitted where no worker is, and the server's memory is read before and after.

use std::time::Instant;

use crate::bench::figure::{Figure, Measured};
use crate::bench::flag::{Flag, Given};
use crate::bench::ground::Ground;
use crate::bench::material;
use crate::bench::meter::Meter;
use crate::bench::pass;
use crate::bench::plan::Plan;
use crate::exit::Failure;
use crate::session::Session;

pub(super) const TAKES: &[Flag] = &[Flag::Tests, Flag::Mode, Flag::Limits];

pub(super) fn plan(plan: Plan, given: &Given) -> Plan {
    Plan {
        tests: given.tests.unwrap_or(plan.size(100_000, 20_000)),
        workers: 0,
        ..plan
    }
}

pub(super) async fn measure(plan: &Plan, ground: &Ground, session: &Session) -> Result<Measured, Failure> {
    let configuration = material::configuration(plan, None)?;
    let store = ground.store(0, session)?;
    // Everything that is there once (connections, the code of the transitions) is there before the memory is read.
    pass::submit_one(&store, &configuration, 1).await?;
    let meter = Meter::new(&store, &[]);
    let empty = ground.bare(|wire| wire.used_memory()).await?;
    let before = meter.read().await?;
    let begun = Instant::now();
    pass::submit_one(&store, &configuration, plan.tests).await?;
    let staging_s = begun.elapsed().as_secs_f64();
    let after = meter.read().await?;
    let full = ground.bare(|wire| wire.used_memory()).await?;
    let spent = before.spent(&after, plan.jobs(), 0);
    Ok(spent
        .with(Figure::StagingS, staging_s)
        .with(Figure::TotalS, staging_s)
        .with(Figure::JobsPerS, plan.jobs() / staging_s)
        .with(Figure::ServerBytesPerTest, (full - empty) / plan.jobs())
        .with(Figure::PayloadBytes, mean_payload(plan.tests)?))
}

/// The mean size of the tests as they are stored.
fn mean_payload(tests: u32) -> Result<f64, Failure> {
    let mut bytes = 0;
    for index in 0..tests {
        bytes += material::payload(index)?.len();
    }
    Ok(bytes as f64 / f64::from(tests))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_the_mean_of_what_is_stored() {
        let (one, ten) = (
            material::payload(3).unwrap().len(),
            material::payload(10).unwrap().len(),
        );
        // Eleven tests: ten with a digit, one with two, and the index stands twice in each.
        assert_eq!(ten, one + 2);
        let mean = (10 * one + ten) as f64 / 11.0;
        assert!((mean_payload(11).unwrap() - mean).abs() < 1e-9);
    }
}
