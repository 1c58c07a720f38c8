//! Recovery rounds: tests in error once more when the rest is done. The collection finds them while it reads the results, and
//! opens the run again instead of ending it.
//!
//! Each test is tried in so many rounds as the configuration has, whatever happens to whoever opens them: what a test has had is
//! in its result.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Deserialize;
use testfleet_model::configuration::{Retry, TestCase};
use testfleet_model::recovery::{Earlier, is_transient};
use testfleet_model::result::{ErrorClass, ErrorDetail};
use testfleet_model::{Execution, RunId, Status, TestConfiguration, TestResult};
use testfleet_store::view::RunView;
use testfleet_store::{Recovered, Recovering, Retaken, Seat, Store};
use tracing::{info, warn};

use crate::collection::CollectError;

/// How long taking results back may stand still, before the sweeper opens the round with what was taken back.
const STAGING_TIMEOUT: Duration = Duration::from_secs(60);
/// Tests taken back at once: each may be as large as a test and a result.
const CHUNK: usize = 32;
/// Dependencies read at once.
const PAGE: usize = 500;

/// What the results of a run say about rounds.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// How many rounds a test may have; 0: nobody asks.
    allowed: u32,
    retry: Retry,
    /// Tests that may have another round.
    transient: BTreeMap<u32, Taken>,
    /// Tests that were not run because one that they depend on did not pass.
    held_back: BTreeMap<u32, Taken>,
    /// One bit per test that has not passed.
    unpassed: Vec<u64>,
    recovered: u32,
}

/// A test that is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    status: Status,
    /// The round it will be in.
    round: u32,
}

/// What came of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The run goes on, and its collection is over.
    Opened,
    /// There is none; the collection goes on.
    None,
    /// The right has moved on.
    Lost,
}

/// Of a stored result, what decides.
#[derive(Deserialize)]
struct Seen {
    #[serde(default)]
    error: Option<ErrorDetail>,
    #[serde(default)]
    recovery: Option<Round>,
}

#[derive(Deserialize)]
struct Round {
    round: u32,
}

impl Rounds {
    /// Of a run with this configuration; `None`: it cannot be read, and there are no rounds.
    pub(crate) fn of(configuration: Option<&TestConfiguration>) -> Self {
        Self {
            allowed: configuration.map_or(0, TestConfiguration::recovery_rounds),
            retry: configuration.map(|of| of.endpoint.retry.clone()).unwrap_or_default(),
            transient: BTreeMap::new(),
            held_back: BTreeMap::new(),
            unpassed: Vec::new(),
            recovered: 0,
        }
    }

    /// The run is cut short, or for another reason has no rounds.
    pub(crate) fn forbid(&mut self) {
        self.allowed = 0;
    }

    /// Looks at a stored result.
    pub(crate) fn add(&mut self, index: u32, status: Status, result: &[u8]) {
        if status == Status::Pass && !mentions_recovery(result) {
            return;
        }
        let Ok(seen) = serde_json::from_slice::<Seen>(result) else {
            return;
        };
        if seen.recovery.is_some() && status.axes().0 == Execution::Ok {
            self.recovered += 1;
        }
        if status == Status::Pass || self.allowed == 0 {
            return;
        }
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        if self.unpassed.len() <= word {
            self.unpassed.resize(word + 1, 0);
        }
        self.unpassed[word] |= bit;
        let had = seen.recovery.map_or(0, |recovery| recovery.round);
        let taken = Taken { status, round: had + 1 };
        match (status, seen.error) {
            (Status::Error, Some(error)) if had < self.allowed && is_transient(&error, &self.retry) => {
                self.transient.insert(index, taken);
            }
            (Status::NotRun, Some(error)) if error.class == ErrorClass::Dependency => {
                self.held_back.insert(index, taken);
            }
            _ => {}
        }
    }

    /// Tests whose result is not an error any more, since a round.
    pub(crate) fn recovered(&self) -> u32 {
        self.recovered
    }

    /// Opens a round with the tests that may have one, under the right of the collection.
    pub(crate) async fn open(
        &self,
        store: &Store,
        seat: &Seat,
        view: &RunView,
        fence: u64,
    ) -> Result<Opening, CollectError> {
        if self.transient.is_empty() {
            return Ok(Opening::None);
        }
        let run = view.test_run_id;
        let taken: Vec<(u32, Taken)> = self.taken(store, run).await?.into_iter().collect();
        let recovering = Recovering {
            run,
            fence,
            epoch: view.epoch + 1,
            staging_timeout: STAGING_TIMEOUT,
        };
        let chunks = taken.len().div_ceil(CHUNK);
        for (number, chunk) in (1..).zip(taken.chunks(CHUNK)) {
            let tests = retaken(store, view, chunk).await?;
            match store.recover(seat, recovering, &tests, number == chunks).await? {
                Recovered::Recovering { .. } | Recovered::Nothing => {}
                Recovered::Opened { left } => {
                    info!(run.id = %run, run.epoch = recovering.epoch, tests = left, "tests in error are tried once more before the run ends");
                    return Ok(Opening::Opened);
                }
                Recovered::Late | Recovered::Spent | Recovered::Stopped | Recovered::Incomplete { .. } => {
                    return Ok(Opening::None);
                }
                Recovered::Already(_) | Recovered::Lost | Recovered::Closed(_) | Recovered::Unknown => {
                    return Ok(Opening::Lost);
                }
            }
        }
        Ok(Opening::None)
    }

    /// The tests that may have a round, and those held back by nothing but them, directly or not.
    async fn taken(&self, store: &Store, run: RunId) -> Result<BTreeMap<u32, Taken>, CollectError> {
        let mut needs = HashMap::new();
        let held_back: Vec<u32> = self.held_back.keys().copied().collect();
        for indices in held_back.chunks(PAGE) {
            let found = store.needs(run, indices).await?;
            needs.extend(indices.iter().copied().zip(found));
        }
        Ok(self.with_dependents(&needs))
    }

    fn with_dependents(&self, needs: &HashMap<u32, Vec<u32>>) -> BTreeMap<u32, Taken> {
        let mut taken = self.transient.clone();
        // By test held back, how many of those in its way are not taken.
        let mut in_the_way: HashMap<u32, usize> = HashMap::new();
        let mut dependents: HashMap<u32, Vec<u32>> = HashMap::new();
        for (index, on) in needs {
            let blocking = on.iter().filter(|on| self.has_not_passed(**on));
            for dependency in blocking.clone() {
                dependents.entry(*dependency).or_default().push(*index);
            }
            in_the_way.insert(*index, blocking.count());
        }
        let mut open: Vec<u32> = taken.keys().copied().collect();
        while let Some(index) = open.pop() {
            for dependent in dependents.get(&index).into_iter().flatten() {
                let Some(left) = in_the_way.get_mut(dependent) else {
                    continue;
                };
                *left = left.saturating_sub(1);
                if *left == 0
                    && let Some(of) = self.held_back.get(dependent)
                    && taken.insert(*dependent, *of).is_none()
                {
                    open.push(*dependent);
                }
            }
        }
        taken
    }

    fn has_not_passed(&self, index: u32) -> bool {
        let word = self.unpassed.get(index as usize / 64);
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }
}

/// Whether a result may have been made in a round: cheap, and never wrong where it was.
fn mentions_recovery(result: &[u8]) -> bool {
    let name = b"\"recovery\":";
    result.windows(name.len()).any(|window| window == name)
}

/// Those of the tests that can be tried again, with what became of them so far as part of their payload.
async fn retaken(store: &Store, view: &RunView, chunk: &[(u32, Taken)]) -> Result<Vec<Retaken>, CollectError> {
    let run = view.test_run_id;
    let indices: Vec<u32> = chunk.iter().map(|(index, _)| *index).collect();
    let results = store.results_of(run, &indices).await?;
    let kept = store.kept(run, &indices).await?;
    let mut retaken = Vec::with_capacity(chunk.len());
    for ((index, taken), (result, payload)) in chunk.iter().zip(results.into_iter().zip(kept)) {
        let (Some(result), Some(payload)) = (result, payload) else {
            continue;
        };
        let result = serde_json::from_slice::<TestResult>(&result);
        let (Ok(result), Ok(mut test)) = (result, TestCase::from_stored(&payload)) else {
            warn!(run.id = %run, test.index = index, "a test in error cannot be tried once more: it cannot be read");
            continue;
        };
        test.earlier = Some(Earlier {
            epoch: view.epoch,
            round: taken.round,
            result: Box::new(result),
        });
        retaken.push(Retaken {
            index: *index,
            status: taken.status,
            payload: serde_json::to_vec(&test)?,
        });
    }
    Ok(retaken)
}

#[cfg(test)]
mod tests {
    use testfleet_model::recovery::{Recovery, Spent};

    use super::*;

    fn rounds(allowed: u32) -> Rounds {
        Rounds {
            allowed,
            retry: Retry {
                retry_on: Retry::default_retry_on(),
                ..Retry::default()
            },
            ..Rounds::of(None)
        }
    }

    fn result(status: Status, class: Option<ErrorClass>, round: Option<u32>) -> Vec<u8> {
        let error = class.map(|class| ErrorDetail::new(class, "it says \"recovery\": no"));
        let mut result = TestResult::without_execution("a", 0, status, error);
        result.recovery = round.map(|round| Recovery {
            round,
            attempts: 1,
            error: None,
            evaluated_again: false,
            attempts_before_call: 0,
            before: Spent::default(),
        });
        serde_json::to_vec(&result).unwrap()
    }

    #[test]
    fn a_test_has_as_many_rounds_as_there_are_and_none_without_a_chance() {
        use ErrorClass::{Connect, Template};
        let mut rounds = rounds(2);
        for (index, class, round) in [
            (0, Connect, None),
            (1, Connect, Some(1)),
            (2, Connect, Some(2)),
            (3, Template, None),
        ] {
            rounds.add(index, Status::Error, &result(Status::Error, Some(class), round));
        }
        let of = |round| Taken {
            status: Status::Error,
            round,
        };
        assert_eq!(rounds.with_dependents(&HashMap::new()), [(0, of(1)), (1, of(2))].into());
        let mut none = self::rounds(0);
        none.add(0, Status::Error, &result(Status::Error, Some(Connect), None));
        assert!(none.transient.is_empty());
    }

    #[test]
    fn what_passed_or_failed_in_a_round_is_recovered() {
        let mut rounds = rounds(1);
        for (index, status, round) in [
            (0, Status::Pass, Some(1)),
            (1, Status::Fail, Some(1)),
            (2, Status::Error, Some(1)),
            (3, Status::Pass, None),
        ] {
            rounds.add(index, status, &result(status, None, round));
        }
        assert_eq!(rounds.recovered(), 2);
    }

    /// 0 may be mended, 1 failed. 2 waits for 0, 3 for 2, 4 for 0 and 1, 5 for 1, 6 for 0 twice removed and a test that passed.
    #[test]
    fn tests_that_are_held_back_by_nothing_else_come_along() {
        let mut rounds = rounds(1);
        rounds.add(
            0,
            Status::Error,
            &result(Status::Error, Some(ErrorClass::Connect), None),
        );
        rounds.add(1, Status::Fail, &result(Status::Fail, None, None));
        for index in 2..7 {
            let held = result(Status::NotRun, Some(ErrorClass::Dependency), None);
            rounds.add(index, Status::NotRun, &held);
        }
        let needs = [
            (2, vec![0]),
            (3, vec![2]),
            (4, vec![0, 1]),
            (5, vec![1]),
            (6, vec![3, 9]),
        ];
        let taken = rounds.with_dependents(&needs.into_iter().collect());
        assert_eq!(taken.keys().copied().collect::<Vec<_>>(), [0, 2, 3, 6]);
    }
}
