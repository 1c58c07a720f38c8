//! Telling the store the shape of a run: in which order its tests are given out, which wait for which, and their groups.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use testfleet_model::configuration::{Order, RunShape};
use testfleet_model::{ExecutionMode, RunId, RunState};
use testfleet_store::{ARRANGE_LIMIT, Arranged, Arrangement, Needs, Store};

use crate::error::DispatchError;
use crate::store_retry::StoreRetry;

/// What staging learned of a set beside its tests.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) shape: RunShape,
    /// The ids of the tests of the run, when they are to be given out in an order that depends on them.
    pub(crate) ids: Vec<String>,
}

/// How arranging ended.
pub(crate) enum Arranging {
    /// The run can be activated.
    Done,
    /// The run left `preparing` meanwhile.
    Closed(RunState),
}

/// Where the shape goes.
pub(crate) struct Arranger<'a> {
    pub(crate) store: &'a Store,
    pub(crate) run: RunId,
    pub(crate) mode: ExecutionMode,
    pub(crate) staging_timeout: Duration,
    pub(crate) retry: StoreRetry,
}

impl Arranger<'_> {
    /// Sends the shape; nothing when the run has none. `name`: what durations of its tests are recorded under.
    pub(crate) async fn arrange(&self, learned: &Learned, total: u32, name: &str) -> Result<Arranging, DispatchError> {
        let shape = &learned.shape;
        let needs: Vec<Needs> = shape
            .needs()
            .map(|needs| Needs {
                index: needs.index,
                dependencies: needs.dependencies,
                always: needs.always,
            })
            .collect();
        let grouped: Vec<(u32, &str)> = shape.grouped().collect();
        let longest_first = shape.order() == Order::LongestFirst && self.mode == ExecutionMode::Parallel;
        let ranks = if longest_first {
            self.ranks(&learned.ids, name).await?
        } else {
            None
        };
        if needs.is_empty() && grouped.is_empty() && ranks.is_none() {
            return Ok(Arranging::Done);
        }
        let mut order = self.released_at_once(total, &needs);
        if let Some(ranks) = ranks {
            order.sort_by_key(|index| ranks.get(*index as usize).copied());
        }
        let dependents: Vec<(u32, Vec<u32>)> = shape.dependents().into_iter().collect();
        let groups: Vec<(&str, u32)> = shape
            .groups()
            .iter()
            .map(|(name, most)| (name.as_str(), *most))
            .collect();
        let mut hasher = DefaultHasher::new();
        order.hash(&mut hasher);
        let digest = hasher.finish();
        let mut before = 0;
        for indices in order.chunks(ARRANGE_LIMIT) {
            if let Some(closed) = self
                .send(Arrangement::Order {
                    before,
                    digest,
                    indices,
                })
                .await?
            {
                return Ok(closed);
            }
            before += u32::try_from(indices.len()).unwrap_or(u32::MAX);
        }
        let chunks = needs
            .chunks(ARRANGE_LIMIT)
            .map(Arrangement::Needs)
            .chain(dependents.chunks(ARRANGE_LIMIT).map(Arrangement::Dependents))
            .chain(groups.chunks(ARRANGE_LIMIT).map(Arrangement::Groups))
            .chain(grouped.chunks(ARRANGE_LIMIT).map(Arrangement::Grouped));
        for chunk in chunks {
            if let Some(closed) = self.send(chunk).await? {
                return Ok(closed);
            }
        }
        Ok(Arranging::Done)
    }

    /// In Parallel those that wait for nobody; in Sequential all, in their order: what they wait for comes before them.
    fn released_at_once(&self, total: u32, needs: &[Needs]) -> Vec<u32> {
        if self.mode == ExecutionMode::Sequential {
            return (0..total).collect();
        }
        let mut waiting = needs.iter().map(|needs| needs.index).peekable();
        (0..total)
            .filter(|index| {
                // Both ascend.
                let waits = waiting.peek() == Some(index);
                if waits {
                    waiting.next();
                }
                !waits
            })
            .collect()
    }

    /// The place of each test when the longest come first; `None` when nothing is known of any. A test of which nothing is
    /// known counts as the mean of those known.
    async fn ranks(&self, ids: &[String], name: &str) -> Result<Option<Vec<u32>>, DispatchError> {
        let known = self.retry.persist(self.run, || self.store.durations(name, ids)).await?;
        let times: Vec<Duration> = known.iter().flatten().copied().collect();
        let Some(count) = u32::try_from(times.len()).ok().filter(|count| *count > 0) else {
            return Ok(None);
        };
        let mean = times.iter().sum::<Duration>() / count;
        let mut indices: Vec<usize> = (0..known.len()).collect();
        indices.sort_by_key(|index| std::cmp::Reverse(known.get(*index).copied().flatten().unwrap_or(mean)));
        let mut ranks = vec![0; known.len()];
        for (rank, index) in (0..).zip(indices) {
            if let Some(place) = ranks.get_mut(index) {
                *place = rank;
            }
        }
        Ok(Some(ranks))
    }

    async fn send(&self, arrangement: Arrangement<'_>) -> Result<Option<Arranging>, DispatchError> {
        let arranged = self
            .retry
            .persist(self.run, || {
                self.store.arrange(self.run, self.staging_timeout, arrangement)
            })
            .await?;
        match arranged {
            Arranged::Arranged => Ok(None),
            Arranged::Closed(state) => Ok(Some(Arranging::Closed(state))),
            Arranged::Unknown => Err(DispatchError::Vanished { run: self.run }),
        }
    }
}
