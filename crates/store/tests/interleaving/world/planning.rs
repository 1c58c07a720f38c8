//! The runs of a case, as they are submitted.

use std::collections::{BTreeMap, BTreeSet};

use testfleet_model::ExecutionMode;
use testfleet_store::{Arrangement, Budget, Needs, NewRun, RunPolicy, Store};

use super::{HOUR, World};
use crate::interleaving::invariant::{Planned, Shape};
use crate::interleaving::step::{Draw, WORKERS};

impl World {
    pub(super) async fn submit(&mut self) {
        for plan in &self.runs {
            let run = NewRun {
                id: plan.run,
                configuration: "{}",
                name: "run",
                configuration_id: None,
                mode: if plan.sequential {
                    ExecutionMode::Sequential
                } else {
                    ExecutionMode::Parallel
                },
                endpoint: plan.endpoint,
                cap: u32::try_from(plan.cap).unwrap(),
                lease: HOUR,
                staging_timeout: HOUR,
                idempotency: None,
                policy: RunPolicy {
                    tenant: plan.tenant,
                    weight: if plan.total.is_multiple_of(2) { 1.0 } else { 10.0 },
                    fail_fast: plan.fail_fast,
                    budget: Budget {
                        requests: plan.budget.map(|most| u64::try_from(most).unwrap()),
                        ..Budget::default()
                    },
                    ..RunPolicy::default()
                },
            };
            self.store.create(&run).await.unwrap();
            let payloads = vec!["test"; plan.total];
            self.store.stage(plan.run, 0, &payloads, HOUR).await.unwrap();
            if let Some(shape) = &plan.shape {
                arrange(&self.store, plan, shape).await;
            }
        }
        for worker in 0..WORKERS {
            self.register(worker).await;
        }
    }
}

/// Some tests wait for others before them, some are in a group.
pub(super) fn shape(draw: &mut Draw, total: usize) -> Option<Shape> {
    if draw.below(3) > 0 {
        return None;
    }
    let mut shape = Shape {
        needs: BTreeMap::new(),
        always: BTreeSet::new(),
        grouped: BTreeSet::new(),
        group_cap: 1 + draw.below(2),
    };
    for index in 0..total {
        if index > 0 && draw.below(2) == 0 {
            let mut needs = vec![draw.below(index)];
            let other = draw.below(index);
            if !needs.contains(&other) && draw.below(2) == 0 {
                needs.push(other);
            }
            shape.needs.insert(index, needs);
        }
        if draw.below(4) == 0 {
            shape.always.insert(index);
        }
        if draw.below(2) == 0 {
            shape.grouped.insert(index);
        }
    }
    Some(shape)
}

pub(super) async fn arrange(store: &Store, plan: &Planned, shape: &Shape) {
    let number = |index: usize| u32::try_from(index).unwrap();
    let all = 0..plan.total;
    let order: Vec<u32> = if plan.sequential {
        all.map(number).collect()
    } else {
        // Not the submitted order.
        all.rev()
            .filter(|index| !shape.needs.contains_key(index))
            .map(number)
            .collect()
    };
    let needs: Vec<Needs> = shape
        .needs
        .iter()
        .map(|(index, needs)| Needs {
            index: number(*index),
            dependencies: needs.iter().copied().map(number).collect(),
            always: shape.always.contains(index),
        })
        .collect();
    let mut dependents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for needs in &needs {
        for dependency in &needs.dependencies {
            dependents.entry(*dependency).or_default().push(needs.index);
        }
    }
    let dependents: Vec<(u32, Vec<u32>)> = dependents.into_iter().collect();
    let grouped: Vec<(u32, &str)> = shape.grouped.iter().map(|index| (number(*index), "g")).collect();
    let groups = [("g", number(shape.group_cap))];
    for arrangement in [
        Arrangement::Order {
            before: 0,
            digest: 1,
            indices: &order,
        },
        Arrangement::Needs(&needs),
        Arrangement::Dependents(&dependents),
        Arrangement::Groups(&groups),
        Arrangement::Grouped(&grouped),
    ] {
        store.arrange(plan.run, HOUR, arrangement).await.unwrap();
    }
}
