//! What a job costs the server by how many of them a call carries. A worker asks for as many as it has room for, so its room is
//! what bounds the batch.

use crate::bench::flag::{Flag, Given};
use crate::bench::plan::Plan;

pub(super) const TAKES: &[Flag] = &[Flag::Tests, Flag::Limits];

/// Jobs that a call carries at most, and the tests that take a few seconds then.
const SIZES: [(u32, u32); 4] = [(1, 10_000), (8, 50_000), (64, 100_000), (256, 100_000)];

pub(super) fn plans(plan: &Plan, given: &Given) -> Vec<Plan> {
    let case = |(size, tests)| Plan {
        case: Some(format!("{size} per call")),
        tests: given.tests.unwrap_or(plan.size(tests, tests / 10)),
        concurrency: size,
        ..plan.clone()
    };
    SIZES.map(case).into()
}
