//! The shape of a run: in which order its tests are given out, which wait for which, and their groups. Sent while the run is
//! private, before it is activated.

use std::time::Duration;

use testfleet_model::{RunId, RunState};

use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::submission::millis;

/// The most entries one call of `arrange` takes.
pub const ARRANGE_LIMIT: usize = 500;

/// What a test waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The test.
    pub index: u32,
    /// Those whose results it waits for; at least one.
    pub dependencies: Vec<u32>,
    /// Whether it runs whatever came of them.
    pub always: bool,
}

/// One chunk of the shape of a run; at most [`ARRANGE_LIMIT`] entries.
#[derive(Clone, Copy, Debug)]
pub enum Arrangement<'a> {
    /// Tests in the order in which they are given out. In Parallel those without dependencies, in Sequential all. Chunks
    /// come in order; `before`: how many came before this one.
    Order {
        /// Tests of the chunks before.
        before: u32,
        /// The same for all chunks of one order, and different for different orders.
        digest: u64,
        /// The tests of this one.
        indices: &'a [u32],
    },
    /// Who waits for whom.
    Needs(&'a [Needs]),
    /// The same the other way round: who is released by whom.
    Dependents(&'a [(u32, Vec<u32>)]),
    /// Groups, and how many of their tests may be in flight; at least 1.
    Groups(&'a [(&'a str, u32)]),
    /// Which group tests are in.
    Grouped(&'a [(u32, &'a str)]),
}

/// What came of `arrange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arranged {
    /// Stored.
    Arranged,
    /// There is no such run.
    Unknown,
    /// The run is no longer `preparing`.
    Closed(RunState),
}

impl Store {
    /// Stores a chunk of the shape of a run. The same chunk twice changes nothing. Everything is given out from what was
    /// arranged: [`activate`](Self::activate) refuses the run (`Incomplete`) when not every test has its place.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe. More than [`ARRANGE_LIMIT`] entries are refused.
    pub async fn arrange(
        &self,
        run: RunId,
        staging_timeout: Duration,
        arrangement: Arrangement<'_>,
    ) -> Result<Arranged, StoreError> {
        let entries = match arrangement {
            Arrangement::Order { indices, .. } => indices.len(),
            Arrangement::Needs(needs) => needs.len(),
            Arrangement::Dependents(of) => of.len(),
            Arrangement::Groups(groups) => groups.len(),
            Arrangement::Grouped(tests) => tests.len(),
        };
        if entries > ARRANGE_LIMIT {
            return Err(StoreError::Answer {
                call: "arrange",
                detail: format!("more than {ARRANGE_LIMIT} entries at once"),
            });
        }
        let mut answer = self
            .run(&script::ARRANGE, |command| {
                command.arg(run.to_string()).arg(millis(staging_timeout));
                match arrangement {
                    Arrangement::Order {
                        before,
                        digest,
                        indices,
                    } => {
                        command.arg("order").arg(before).arg(digest);
                        for index in indices {
                            command.arg(*index);
                        }
                    }
                    Arrangement::Needs(needs) => {
                        command.arg("needs");
                        for need in needs {
                            let always = if need.always { "a" } else { "" };
                            command.arg(need.index).arg(listed(&need.dependencies)).arg(always);
                        }
                    }
                    Arrangement::Dependents(of) => {
                        command.arg("dependents");
                        for (index, dependents) in of {
                            command.arg(*index).arg(listed(dependents));
                        }
                    }
                    Arrangement::Groups(groups) => {
                        command.arg("groups");
                        for (group, most) in groups {
                            command.arg(*group).arg((*most).max(1));
                        }
                    }
                    Arrangement::Grouped(tests) => {
                        command.arg("grouped");
                        for (index, group) in tests {
                            command.arg(*index).arg(*group);
                        }
                    }
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "arranged" => Ok(Arranged::Arranged),
            "unknown" => Ok(Arranged::Unknown),
            "closed" => Ok(Arranged::Closed(answer.state()?)),
            other => Err(answer.unknown_word(other)),
        }
    }
}

fn listed(indices: &[u32]) -> String {
    let texts: Vec<String> = indices.iter().map(u32::to_string).collect();
    texts.join(",")
}
