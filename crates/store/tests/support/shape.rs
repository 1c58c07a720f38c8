//! Runs whose tests depend on each other or belong to groups.

use std::collections::BTreeMap;

use testfleet_model::{ExecutionMode, RunId, Status};
use testfleet_store::{Activated, Arranged, Arrangement, ClaimedTest, Completion, Needs, Seat, Settled};

use super::bench::{Bench, STAGING, Spec, completion};
use super::limit::AGE;

/// Who waits for whom, and who belongs together.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    needs: Vec<Needs>,
    groups: Vec<(&'static str, u32)>,
    grouped: Vec<(u32, &'static str)>,
    order: Option<Vec<u32>>,
}

impl Shape {
    pub fn needs(mut self, index: u32, dependencies: &[u32]) -> Self {
        self.needs.push(Needs {
            index,
            dependencies: dependencies.to_vec(),
            always: false,
        });
        self
    }

    /// The same, and it runs whatever came of them.
    pub fn always(mut self, index: u32, dependencies: &[u32]) -> Self {
        self = self.needs(index, dependencies);
        self.needs.last_mut().unwrap().always = true;
        self
    }

    pub fn group(mut self, name: &'static str, most: u32, members: &[u32]) -> Self {
        self.groups.push((name, most));
        self.grouped.extend(members.iter().map(|index| (*index, name)));
        self
    }

    pub fn order(mut self, indices: &[u32]) -> Self {
        self.order = Some(indices.to_vec());
        self
    }
}

impl Bench {
    /// Arranges a staged run.
    pub async fn arrange(&self, spec: &Spec<'_>, run: RunId, shape: &Shape) {
        let waiting: Vec<u32> = shape.needs.iter().map(|needs| needs.index).collect();
        let free = |index: &u32| spec.mode == ExecutionMode::Sequential || !waiting.contains(index);
        let all: Vec<u32> = shape.order.clone().unwrap_or_else(|| (0..spec.total).collect());
        let first: Vec<u32> = all.into_iter().filter(free).collect();
        let mut dependents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for needs in &shape.needs {
            for dependency in &needs.dependencies {
                dependents.entry(*dependency).or_default().push(needs.index);
            }
        }
        let dependents: Vec<(u32, Vec<u32>)> = dependents.into_iter().collect();
        for arrangement in [
            Arrangement::Order {
                before: 0,
                digest: 1,
                indices: &first,
            },
            Arrangement::Needs(&shape.needs),
            Arrangement::Dependents(&dependents),
            Arrangement::Groups(&shape.groups),
            Arrangement::Grouped(&shape.grouped),
        ] {
            let arranged = self.store.arrange(run, STAGING, arrangement).await.unwrap();
            assert_eq!(arranged, Arranged::Arranged);
        }
    }

    /// An activated run with a shape.
    pub async fn shaped(&self, spec: Spec<'_>, shape: &Shape) -> RunId {
        let run = self.staged(&spec).await;
        self.arrange(&spec, run, shape).await;
        let limits = super::bench::limits(spec.limit);
        let activated = self.store.activate(run, spec.total, AGE, &limits).await.unwrap();
        assert_eq!(activated, Activated::Activated);
        run
    }

    /// Completes tests with a status; claims nothing.
    pub async fn end_as(&self, seat: &Seat, tests: &[ClaimedTest], status: Status) -> Vec<Settled> {
        let completions: Vec<Completion> = tests
            .iter()
            .map(|test| Completion {
                status,
                ..completion(test)
            })
            .collect();
        self.settle(seat, &completions).await
    }
}

/// Which test of a run each is.
pub fn indices(tests: &[ClaimedTest]) -> Vec<u32> {
    tests.iter().map(|test| test.index).collect()
}
