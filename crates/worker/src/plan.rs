//! What a run's tests share, made once per run and worker: configuration, compiled endpoint, compiled metrics.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::options::WorkerOptions;
use serde::Deserialize;
use testfleet_endpoint::{AnswerMemory, CompileContext, Egress, Limits, ProcessLookup, Secrets, Target, Tokens};
use testfleet_evaluation::MetricSet;
use testfleet_judge::{Gate, LANGUAGE, ModelContext, Models};
use testfleet_model::configuration::reading::from_canonical_json;
use testfleet_model::{RunId, TestConfiguration};
use testfleet_store::{Store, StoreError};
use tokio::sync::OnceCell;

use crate::backoff::jitter;
use crate::gate::StoreGate;

/// The longest answer of a model or webhook, in bytes.
const MAX_JUDGE_ANSWER: usize = 1024 * 1024;
/// Of as many bytes as answers of endpoints may take, the part that those of models may take besides.
const JUDGE_PART: u64 = 4;
/// What they may take in any case: the longest answer fits eight times.
const LEAST_JUDGE_MEMORY: u64 = 64 * 1024 * 1024;

/// Plans kept at once. A run whose plan was dropped gets it again at its next test.
const KEPT: usize = 256;

/// What a run's tests share.
pub(crate) struct Plan {
    pub(crate) configuration: TestConfiguration,
    pub(crate) answers: Answers,
    pub(crate) metrics: MetricSet,
    pub(crate) models: Models,
}

/// Where answers come from. A run that evaluates stored outputs has no client for the endpoint: nothing of it is compiled, and
/// no secret of it is looked up.
pub(crate) enum Answers {
    /// The endpoint is called.
    Endpoint(Box<Target>),
    /// They came with the tests, from an earlier run.
    Recorded,
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum NoPlan {
    /// The store does not answer; try again.
    Store(StoreError),
    /// The run is gone.
    Gone,
    /// The configuration cannot be executed by this version; a sentence.
    Broken(Arc<str>),
}

type Cell = Arc<OnceCell<Result<Arc<Plan>, Arc<str>>>>;

/// The plans of the runs this worker has tests of.
pub(crate) struct Plans {
    store: Store,
    egress: Egress,
    root_certificates: Arc<[u8]>,
    max_response_bytes: usize,
    /// Access tokens, shared by all runs against an endpoint.
    tokens: Tokens,
    gate: Arc<dyn Gate>,
    /// For the answers of models and webhooks.
    judge_memory: AnswerMemory,
    kept: Mutex<HashMap<RunId, Cell>>,
}

impl Plans {
    pub(crate) fn new(store: Store, options: &WorkerOptions) -> Self {
        Self {
            judge_memory: AnswerMemory::new((options.answer_memory / JUDGE_PART).max(LEAST_JUDGE_MEMORY)),
            gate: Arc::new(StoreGate::new(store.clone())),
            store,
            egress: options.egress.clone(),
            root_certificates: Arc::clone(&options.root_certificates),
            max_response_bytes: options.max_response_bytes,
            tokens: Tokens::default(),
            kept: Mutex::default(),
        }
    }

    /// The plan of a run. Tests that ask at the same time wait for one load.
    pub(crate) async fn of(&self, run: RunId) -> Result<Arc<Plan>, NoPlan> {
        let cell = self.cell(run);
        let made = cell.get_or_try_init(|| self.load(run)).await?;
        made.clone().map_err(NoPlan::Broken)
    }

    /// The id of a test that has a result; `None` when it cannot be read now.
    pub(crate) async fn test_id(&self, run: RunId, index: u32) -> Option<String> {
        #[derive(Deserialize)]
        struct Named {
            test_id: String,
        }
        let stored = self.store.results(run, index, 1).await.ok()?.pop()??;
        serde_json::from_slice::<Named>(&stored).ok().map(|named| named.test_id)
    }

    pub(crate) fn forget(&self, run: RunId) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }

    fn cell(&self, run: RunId) -> Cell {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(&run) {
            // Ids sort by creation time: the oldest run is the likeliest to be over.
            if let Some(oldest) = kept.keys().min().copied() {
                kept.remove(&oldest);
            }
        }
        Arc::clone(kept.entry(run).or_default())
    }

    async fn load(&self, run: RunId) -> Result<Result<Arc<Plan>, Arc<str>>, NoPlan> {
        let document = self
            .store
            .run_configuration(run)
            .await
            .map_err(NoPlan::Store)?
            .ok_or(NoPlan::Gone)?;
        Ok(self.compile(&document).map(Arc::new).map_err(Into::into))
    }

    fn compile(&self, document: &str) -> Result<Plan, String> {
        let configuration = from_canonical_json(document)
            .map_err(|error| format!("the stored configuration cannot be read: {error}"))?;
        let answers = match configuration.attributes.reference_test_run_id {
            Some(_) => Answers::Recorded,
            None => Answers::Endpoint(Box::new(self.target(&configuration)?)),
        };
        let metrics =
            MetricSet::compile_with(&configuration.metrics, LANGUAGE).map_err(|problems| listed(&problems))?;
        let models = self.models(&configuration)?;
        Ok(Plan {
            configuration,
            answers,
            metrics,
            models,
        })
    }

    /// The client for the endpoint, with its secrets.
    fn target(&self, configuration: &TestConfiguration) -> Result<Target, String> {
        let secrets = Secrets::resolve(&configuration.secrets, &ProcessLookup);
        let limits = Limits {
            max_body_bytes: self.max_response_bytes,
            ..Limits::default()
        };
        let context = CompileContext {
            secrets: &secrets,
            egress: self.egress.clone(),
            limits,
            root_certificates: &self.root_certificates,
        };
        let target = Target::compile(&configuration.endpoint, context).map_err(|problems| listed(&problems))?;
        Ok(target.sharing_tokens(&self.tokens))
    }

    /// Whom metrics can ask. Where the endpoint is not called, what only it needs is not looked up.
    fn models(&self, configuration: &TestConfiguration) -> Result<Models, String> {
        let mut wanted = configuration.secrets.clone();
        if configuration.attributes.reference_test_run_id.is_some() {
            let text = |part: serde_json::Result<String>| part.unwrap_or_default();
            let of_endpoint = text(serde_json::to_string(&configuration.endpoint));
            let of_others = text(serde_json::to_string(&(&configuration.models, &configuration.metrics)));
            wanted.retain(|name, _| !of_endpoint.contains(name.as_str()) || of_others.contains(name.as_str()));
        }
        let context = ModelContext {
            secrets: Secrets::resolve(&wanted, &ProcessLookup),
            egress: self.egress.clone(),
            limits: Limits {
                max_body_bytes: self.max_response_bytes.min(MAX_JUDGE_ANSWER),
                ..Limits::default()
            },
            root_certificates: Arc::clone(&self.root_certificates),
            memory: self.judge_memory.clone(),
            gate: Arc::clone(&self.gate),
            jitter,
        };
        Models::compile(configuration, context).map_err(|problems| listed(&problems))
    }
}

fn listed<P: ToString>(problems: &[P]) -> String {
    let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("the configuration cannot be executed: {}", sentences.join("; "))
}
