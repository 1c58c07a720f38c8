//! What a collection gathers beside the summary, and what it then says of the run as a whole: its gates, and the comparison
//! with its baseline. Nothing is gathered for a run that has neither.

use testfleet_model::comparison::{BaselineResult, OutcomeFold, Outcomes, Source};
use testfleet_model::configuration::{Baseline, RepeatPolicy};
use testfleet_model::gate::{PartialRun, overall};
use testfleet_model::summary::{ResultDigest, ResultLabels};
use testfleet_model::{RunId, Summary, TestConfiguration};
use testfleet_store::{Store, StoreError};
use tracing::warn;

use crate::collection::CollectError;
use crate::reading::{Read, Reader};

/// Pages between looks at whether a baseline that is a run may still be read.
const PAGES_PER_LOOK: u32 = 40;

/// Gathers what gates and the baseline need.
pub(crate) struct VerdictFold {
    gates: PartialRun,
    outcomes: OutcomeFold,
    baseline: Option<Baseline>,
    policy: RepeatPolicy,
}

/// What a collection has to do now and then while it reads, so that it keeps the right to.
pub(crate) trait Keeping {
    /// Answers whether the right is still there.
    async fn keep(&self) -> Result<bool, CollectError>;
}

impl VerdictFold {
    /// For a run of this configuration; without one nothing is gathered and nothing said.
    pub(crate) fn new(configuration: Option<&TestConfiguration>) -> Self {
        let gates = configuration.map(|of| of.gates.as_slice()).unwrap_or_default();
        let policy = configuration.map(|of| of.attributes.repeat_policy).unwrap_or_default();
        Self {
            gates: PartialRun::new(gates, policy),
            outcomes: OutcomeFold::default(),
            baseline: configuration.and_then(|of| of.baseline.clone()),
            policy,
        }
    }

    /// What has to be read of each result.
    pub(crate) fn reads(&self) -> Read {
        if self.baseline.is_some() || self.gates.needs_labels() {
            Read::DigestAndLabels
        } else {
            Read::Digest
        }
    }

    /// The metrics that the summary has to tell of.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = &str> {
        self.gates.metrics()
    }

    /// Takes a result that was not counted before.
    pub(crate) fn add(&mut self, result: &ResultDigest, labels: Option<&ResultLabels>) {
        if self.reads() == Read::Digest {
            return;
        }
        self.gates.add(result, labels);
        if let Some(labels) = labels.filter(|_| self.baseline.is_some()) {
            self.outcomes.add(result, labels);
        }
    }

    /// Takes a test whose result is missing or cannot be read.
    pub(crate) fn add_unreadable(&mut self) {
        self.gates.add_unreadable();
    }

    /// Says in the summary whether gates and baseline hold. `None` when the right to collect has moved on.
    pub(crate) async fn decide(
        self,
        store: &Store,
        keeping: &impl Keeping,
        max_result: usize,
        summary: &mut Summary,
    ) -> Result<Option<()>, CollectError> {
        if let Some(baseline) = &self.baseline {
            let own = summary.test_run_id;
            let source = match (&baseline.name, baseline.run) {
                (Some(name), _) => stored(store, name).await?,
                (None, Some(run)) if run == own => Err("the run cannot be its own baseline".to_owned()),
                (None, Some(run)) => match read_outcomes(store, run, max_result, keeping).await? {
                    None => return Ok(None),
                    Some(read) => read.map(|read| Source {
                        run,
                        outcomes: read.outcomes,
                    }),
                },
                (None, None) => Err("the configuration says neither a name nor a run".to_owned()),
            };
            if let Err(why) = &source {
                warn!(run.id = %own, reason = why, "the run cannot be compared with its baseline");
            }
            let after = self.outcomes.finish(self.policy);
            let source = source.as_ref().map_err(Clone::clone);
            summary.baseline = Some(BaselineResult::of(baseline, source, &after));
        }
        let comparison = match &summary.baseline {
            Some(baseline) => baseline.comparison(),
            None => Err("the configuration has no baseline"),
        };
        summary.gates = self.gates.evaluate(summary, comparison);
        summary.gate = overall(&summary.gates, summary.baseline.as_ref());
        Ok(Some(()))
    }
}

/// A stored baseline; else why it cannot be compared with.
async fn stored(store: &Store, name: &str) -> Result<Result<Source, String>, StoreError> {
    let Some(stored) = store.baseline(name).await? else {
        return Ok(Err(format!(
            "there is no baseline {name:?}; `testfleet baseline set {name} RUN` makes one of a run"
        )));
    };
    let run = stored.run.parse().map_err(|_| format!("{:?} is no run", stored.run));
    let outcomes = Outcomes::from_stored(&stored.document).map_err(|problem| problem.to_string());
    Ok(run
        .and_then(|run| outcomes.map(|outcomes| Source { run, outcomes }))
        .map_err(|why| format!("the baseline {name:?} cannot be used: {why}")))
}

/// What became of the tests of a run, to compare others with it.
#[derive(Clone, Debug)]
pub struct RunOutcomes {
    /// The name of its configuration.
    pub configuration: String,
    /// Its epoch when it was read.
    pub epoch: u32,
    /// The outcomes.
    pub outcomes: Outcomes,
}

struct Unhurried;

impl Keeping for Unhurried {
    async fn keep(&self) -> Result<bool, CollectError> {
        Ok(true)
    }
}

/// Reads what became of the tests of an ended run; the inner error says why there is nothing to compare with.
///
/// `max_result`: the largest result that is stored, in bytes; no more than a few of them are held at a time.
///
/// # Errors
/// When the store does not answer.
pub async fn outcomes_of(
    store: &Store,
    run: RunId,
    max_result: usize,
) -> Result<Result<RunOutcomes, String>, CollectError> {
    let read = read_outcomes(store, run, max_result, &Unhurried).await?;
    Ok(read.unwrap_or_else(|| Err("it was not read to its end".to_owned())))
}

/// The same while the right to something is kept; `None` when that is lost.
async fn read_outcomes(
    store: &Store,
    run: RunId,
    max_result: usize,
    keeping: &impl Keeping,
) -> Result<Option<Result<RunOutcomes, String>>, CollectError> {
    let Some(view) = store.run_view(run).await? else {
        let why = format!(
            "there is no run {run} any more; keep the next one as a baseline: `testfleet baseline set NAME RUN`"
        );
        return Ok(Some(Err(why)));
    };
    if !view.state.is_terminal() {
        return Ok(Some(Err(format!("run {run} has not ended ({})", view.state))));
    }
    let document = store.run_configuration(run).await?;
    let configuration: Option<TestConfiguration> = document.and_then(|text| serde_json::from_str(&text).ok());
    let policy = configuration.map(|of| of.attributes.repeat_policy).unwrap_or_default();
    let mut fold = OutcomeFold::default();
    let mut reader = Reader::new(store, run, view.total, 1, max_result, Read::DigestAndLabels);
    let mut pages = 0u32;
    while let Some((_, page)) = reader.next().await? {
        for result in page.into_iter().flatten() {
            if let (Ok(digest), Some(labels)) = (result.digest, result.labels) {
                fold.add(&digest, &labels);
            }
        }
        pages += 1;
        if pages.is_multiple_of(PAGES_PER_LOOK) && !keeping.keep().await? {
            return Ok(None);
        }
    }
    Ok(Some(Ok(RunOutcomes {
        configuration: view.name,
        epoch: view.epoch,
        outcomes: fold.finish(policy),
    })))
}
