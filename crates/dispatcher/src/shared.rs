//! What both modes have in common: create the run, stage its tests, activate it.
//!
//! With an idempotency key the digest of everything that makes the run what it is must be known when the run is
//! created, before its tests are streamed. So the tests are read twice then: once for their digest
//! ([`survey`](crate::survey)), once to be stored; and what is stored is held against the digest, so that a key can
//! never come to stand for something else than it was given for.

use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;

use sha2::{Digest, Sha256};
use testfleet_model::configuration::reading::check_attributes;
use testfleet_model::configuration::{Attributes, DEFAULT_TENANT, TestCase, TestSet};
use testfleet_model::state::StopReason;
use testfleet_model::{ExecutionMode, RunId, RunState, TestConfiguration};
use testfleet_store::{Activated, Budget, Created, Idempotency, NewRun, RunPolicy, Store, durations_name};

use crate::arranging::{Arranger, Arranging, Learned};
use crate::error::{DispatchError, Refusal};
use crate::intake::{Intake, TestsDigest, survey_inline};
use crate::orchestration::{DispatchOptions, Dispatched, Submission};
use crate::past::PastRun;
use crate::reference::Reference;
use crate::staging::{Chunks, Ending, stage};
use crate::store_retry::StoreRetry;
use crate::subset::{Subset, choose_tests};

/// What the hard deadline of an attempt has beyond `per_test_timeout`: claiming it and storing its result.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// How tests are released: all that the modes differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The mode.
    pub mode: ExecutionMode,
    /// Tests of the run in flight at any instant.
    pub cap: u32,
}

/// The canonical configuration as workers read it: without tests and sources, which are in the run already.
pub(crate) fn run_document(configuration: &TestConfiguration) -> Result<String, DispatchError> {
    let set = &configuration.test_set;
    // Field by field, so that the tests (which may be 100,000) are not cloned only to be left out.
    let document = TestConfiguration {
        version: configuration.version,
        name: configuration.name.clone(),
        description: configuration.description.clone(),
        project: configuration.project.clone(),
        owner: configuration.owner.clone(),
        tags: configuration.tags.clone(),
        metadata: configuration.metadata.clone(),
        secrets: configuration.secrets.clone(),
        models: configuration.models.clone(),
        endpoint: configuration.endpoint.clone(),
        test_set: TestSet {
            id: set.id.clone(),
            name: set.name.clone(),
            defaults: set.defaults.clone(),
            sources: Vec::new(),
            tests: Vec::new(),
        },
        metrics: configuration.metrics.clone(),
        attributes: configuration.attributes.clone(),
        gates: configuration.gates.clone(),
        baseline: configuration.baseline.clone(),
        reports: configuration.reports.clone(),
        notifications: configuration.notifications.clone(),
    };
    Ok(serde_json::to_string(&document)?)
}

/// How the run shares its endpoint, and when it stops.
fn policy(attributes: &Attributes) -> RunPolicy<'_> {
    let stops_on_failure = attributes.stop_on_failure && attributes.execution_mode == ExecutionMode::Sequential;
    let budget = attributes.budget;
    RunPolicy {
        tenant: attributes.tenant.as_deref().unwrap_or(DEFAULT_TENANT),
        weight: attributes.priority.weight(),
        fail_fast: if stops_on_failure {
            Some(1)
        } else {
            attributes.fail_fast
        },
        fail_reason: if stops_on_failure {
            StopReason::StopOnFailure
        } else {
            StopReason::FailFast
        },
        budget: Budget {
            requests: budget.requests,
            tokens: budget.tokens,
            cost: budget.cost,
        },
    }
}

/// The digest that the idempotency key is kept with: configuration, stored id and tests. Not the version of the
/// stored configuration, which also rises when the same document is stored again.
fn body_digest(document: &str, configuration_id: Option<(&str, u64)>, tests: &TestsDigest) -> String {
    let mut hash = Sha256::new();
    for part in [document, configuration_id.map_or("", |(id, _)| id)] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(tests.count.to_be_bytes());
    hash.update(tests.sha256);
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// The run whose outputs are evaluated again; `None` when the endpoint is called.
async fn reference(
    store: &Store,
    configuration: &TestConfiguration,
    retry: StoreRetry,
) -> Result<Option<Reference>, DispatchError> {
    let Some(run) = configuration.attributes.reference_test_run_id else {
        if configuration.endpoint.is_absent() {
            let message =
                "missing; only a run that evaluates stored outputs (attributes.reference_test_run_id) calls nothing";
            let (key, message) = ("endpoint".to_owned(), message.to_owned());
            return Err(Refusal::Attributes { key, message }.into());
        }
        return Ok(None);
    };
    let past = PastRun::of(store, run, "reference_test_run_id", retry).await?;
    Reference::read(store, past, retry).await.map(Some)
}

/// Whether all tests of the set are written in the configuration.
fn is_inline(set: &TestSet) -> bool {
    !set.tests.is_empty() && set.sources.is_empty()
}

/// Which tests the filters of the configuration select, when the caller has not found out. `None`: all.
async fn choose(
    store: &Store,
    configuration: &TestConfiguration,
    retry: StoreRetry,
) -> Result<Option<Subset>, DispatchError> {
    let set = &configuration.test_set;
    if configuration.attributes.is_selective() && !is_inline(set) {
        return Err(Refusal::SubsetMissing.into());
    }
    let tests = set.tests.iter().cloned();
    choose_tests(store, configuration, tests.map(Ok::<_, Infallible>), retry).await
}

/// The digest of the tests; `None` without a key, where nobody compares it.
fn tests_digest(
    submission: &Submission<'_>,
    options: DispatchOptions<'_>,
    key: Option<&str>,
) -> Result<Option<TestsDigest>, DispatchError> {
    let set = &submission.configuration.test_set;
    match (key, options.tests) {
        (_, Some(given)) => Ok(Some(given)),
        (None, None) => Ok(None),
        (Some(_), None) if !is_inline(set) => Err(Refusal::DigestMissing.into()),
        (Some(_), None) => survey_inline(
            submission.configuration,
            submission.limits.max_test_bytes,
            options.subset,
        )
        .map(Some),
    }
}

/// One attempt to make the run of a submission.
struct Making<'a> {
    store: &'a Store,
    submission: Submission<'a>,
    options: DispatchOptions<'a>,
    key: Option<&'a str>,
}

/// Makes the run: create, stage, activate. It is acknowledged when `activate` has answered, not before.
pub(crate) async fn make_run<E>(
    store: &Store,
    submission: Submission<'_>,
    release: Release,
    options: DispatchOptions<'_>,
    tests: impl Iterator<Item = Result<TestCase, E>>,
) -> Result<Dispatched, DispatchError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let configuration = submission.configuration;
    if let Some((key, message)) = check_attributes(&configuration.attributes).into_iter().next() {
        return Err(Refusal::Attributes { key, message }.into());
    }
    let key = configuration
        .attributes
        .idempotency_key
        .as_deref()
        .filter(|key| !key.is_empty());
    // Boxed, like all that few submissions need: whoever waits for a submission carries the room for it.
    let reference = Box::pin(reference(store, configuration, options.retry)).await?;
    let chosen = match options.subset {
        Some(_) => None,
        None => Box::pin(choose(store, configuration, options.retry)).await?,
    };
    let options = DispatchOptions {
        subset: options.subset.or(chosen.as_ref()),
        ..options
    };
    let document = run_document(configuration)?;
    let digest = tests_digest(&submission, options, key)?;
    let intake = Intake::new(configuration, submission.limits.max_test_bytes);
    let tests = Subset::keep(options.subset, tests);
    let mut chunks = Chunks::new(tests, &configuration.attributes, intake, digest);
    chunks.name_tests(reference.is_some());
    // Before anything is stored: what is wrong with a small set leaves no trace.
    let first = chunks.next()?.ok_or(Refusal::Empty)?;
    let making = Making {
        store,
        submission,
        options,
        key,
    };
    let (run, ours) = match making.create(release, &document, digest.as_ref()).await? {
        Created::Created => (submission.run, true),
        Created::Exists {
            run,
            state: Some(RunState::Preparing),
        } => (run, false),
        Created::Exists { run, state } => return making.existing(run, state, digest.as_ref()).await,
        Created::Conflict { run } => {
            let key = key.unwrap_or_default().to_owned();
            return Err(Refusal::KeyConflict { key, run }.into());
        }
    };
    let staged = stage(
        store,
        run,
        first,
        chunks,
        submission.limits.staging_timeout,
        reference.as_ref(),
        options.retry,
    )
    .await;
    match staged {
        Ok(Ending::Complete { total, learned }) => match making.arrange(run, release.mode, &learned, total).await {
            Ok(Arranging::Done) => making.activate(run, total).await,
            Ok(Arranging::Closed(state)) => making.existing(run, Some(state), digest.as_ref()).await,
            Err(error) => Err(error),
        },
        Ok(Ending::Closed(state)) => making.existing(run, Some(state), digest.as_ref()).await,
        Err(error) => {
            if ours {
                making.give_up(run, &error).await;
            }
            Err(error)
        }
    }
}

impl Making<'_> {
    async fn create(
        &self,
        release: Release,
        document: &str,
        digest: Option<&TestsDigest>,
    ) -> Result<Created, DispatchError> {
        let Submission {
            run,
            configuration,
            configuration_id,
            limits,
        } = self.submission;
        let (endpoint, _) = configuration.limited_at();
        let body = digest.map(|tests| body_digest(document, configuration_id, tests));
        let new = NewRun {
            id: run,
            configuration: document,
            name: &configuration.name,
            configuration_id,
            mode: release.mode,
            endpoint: &endpoint,
            cap: release.cap,
            lease: configuration.attributes.per_test_timeout.saturating_add(LEASE_MARGIN),
            staging_timeout: limits.staging_timeout,
            idempotency: self
                .key
                .zip(body.as_deref())
                .map(|(key, digest)| Idempotency { key, digest }),
            policy: policy(&configuration.attributes),
        };
        self.options.retry.persist(run, || self.store.create(&new)).await
    }

    async fn arrange(
        &self,
        run: RunId,
        mode: ExecutionMode,
        learned: &Learned,
        total: u32,
    ) -> Result<Arranging, DispatchError> {
        let id = self.submission.configuration_id.map(|(id, _)| id);
        let name = durations_name(id, &self.submission.configuration.name);
        let arranger = Arranger {
            store: self.store,
            run,
            mode,
            staging_timeout: self.submission.limits.staging_timeout,
            retry: self.options.retry,
        };
        arranger.arrange(learned, total, name).await
    }

    async fn activate(&self, run: RunId, total: u32) -> Result<Dispatched, DispatchError> {
        let configuration = self.submission.configuration;
        let deadline = configuration
            .attributes
            .run_timeout
            .unwrap_or(self.submission.limits.deadline);
        let (_, limits) = configuration.limited_at();
        let retry = self.options.retry;
        match retry
            .persist(run, || self.store.activate(run, total, deadline, &limits))
            .await?
        {
            Activated::Activated => {
                tracing::info!(run.id = %run, tests = total, "The run is queued");
                Ok(Dispatched {
                    run,
                    total,
                    existing: false,
                })
            }
            Activated::Already(state) => self.existing(run, Some(state), None).await,
            Activated::Incomplete { staged } => Err(DispatchError::Mixed { run, staged, total }),
            Activated::Empty => Err(Refusal::Empty.into()),
            Activated::Unknown => Err(DispatchError::Vanished { run }),
        }
    }

    /// The answer for a run that is past `preparing`. One that never had a total ended before it was acknowledged.
    async fn existing(
        &self,
        run: RunId,
        state: Option<RunState>,
        digest: Option<&TestsDigest>,
    ) -> Result<Dispatched, DispatchError> {
        let view = self.options.retry.persist(run, || self.store.run_view(run)).await?;
        match (view, digest) {
            (Some(view), _) if view.total > 0 => Ok(Dispatched {
                run,
                total: view.total,
                existing: true,
            }),
            (Some(view), _) => Err(DispatchError::Ended { run, state: view.state }),
            // Its retention is over, and the key remembers it: the content is the same, so is the number of tests.
            (None, Some(digest)) if state.is_none() => Ok(Dispatched {
                run,
                total: digest.count,
                existing: true,
            }),
            (None, _) => Err(DispatchError::Vanished { run }),
        }
    }

    /// Removes a run whose tests turned out to be wrong, so that operators do not see it prepare until the staging
    /// timeout. One with a key stays: the right tests may still come, and the sweeper takes it if they do not.
    async fn give_up(&self, run: RunId, error: &DispatchError) {
        let content_is_wrong = matches!(
            error,
            DispatchError::Refused(_) | DispatchError::Tests { .. } | DispatchError::Document(_)
        );
        if content_is_wrong
            && self.key.is_none()
            && let Err(error) = self.store.cancel(run).await
        {
            tracing::warn!(run.id = %run, error = %error, "Could not remove a refused run, the sweeper will");
        }
    }
}
