//! The models and webhooks of a configuration, compiled once per run.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use testfleet_endpoint::{AnswerMemory, CompileContext, CompileProblem, Egress, Limits, Secrets};
use testfleet_evaluation::Webhook;
use testfleet_model::TestConfiguration;
use tokio::sync::OnceCell;

use crate::error::{AskError, AskErrorKind};
use crate::gate::Gate;
use crate::hook::Hook;
use crate::model::{Judged, Model};

/// What a worker knows and a configuration does not.
#[derive(Clone, Debug)]
pub struct ModelContext {
    /// The secrets the configuration declares.
    pub secrets: Secrets,
    /// Which addresses may be called.
    pub egress: Egress,
    /// Bounds of one call.
    pub limits: Limits,
    /// Certificates to trust in addition to the system's, as PEM; may be empty.
    pub root_certificates: Arc<[u8]>,
    /// What the answers of all models and webhooks of the process may take. Not the memory for answers of endpoints: a test that
    /// holds a part of that waits for its judges, which must not wait for that test.
    pub memory: AnswerMemory,
    /// Who lets calls of models in.
    pub gate: Arc<dyn Gate>,
    /// A number from 0 to 1 for each wait, so that calls which failed together do not come back together.
    pub jitter: fn() -> f64,
}

/// Whom the metrics of a run can ask.
#[derive(Debug)]
pub struct Models {
    by_name: BTreeMap<String, Arc<Model>>,
    context: ModelContext,
    /// Webhooks, made when they are first asked: those of tests are not known before.
    hooks: Mutex<HashMap<String, Arc<Result<Hook, String>>>>,
    /// Answers that hold for all tests.
    shared: Mutex<HashMap<String, Arc<OnceCell<Judged>>>>,
}

/// Shared answers and webhooks that are kept; what is dropped is asked or made again.
const MOST_KEPT: usize = 1_000;

impl Models {
    /// Compiles the models of a configuration. Makes no connection.
    ///
    /// # Errors
    /// Every problem, with its key (`models.judge.api_key`).
    pub fn compile(configuration: &TestConfiguration, context: ModelContext) -> Result<Self, Vec<CompileProblem>> {
        let problems = crate::check(configuration);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut by_name = BTreeMap::new();
        for (name, server) in &configuration.models {
            let model = Model::compile(name, server, &compile_context(&context), &context);
            by_name.insert(name.clone(), Arc::new(model?));
        }
        Ok(Self {
            by_name,
            context,
            hooks: Mutex::default(),
            shared: Mutex::default(),
        })
    }

    /// The model of a name; without one, the only model there is.
    ///
    /// # Errors
    /// When there is none, or there are several and no name.
    pub fn get(&self, name: Option<&str>) -> Result<&Arc<Model>, AskError> {
        let found = match name {
            Some(name) => self.by_name.get(name),
            None if self.by_name.len() == 1 => self.by_name.values().next(),
            None => None,
        };
        found.ok_or_else(|| AskError::new(AskErrorKind::NoModel(name.unwrap_or_default().to_owned())))
    }

    pub(crate) fn jitter(&self) -> fn() -> f64 {
        self.context.jitter
    }

    pub(crate) fn hook(&self, webhook: &Webhook) -> Arc<Result<Hook, String>> {
        let key = format!("{} {}", webhook.url, webhook.options);
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hook) = hooks.get(&key) {
            return Arc::clone(hook);
        }
        if hooks.len() >= MOST_KEPT {
            hooks.clear();
        }
        let hook = Arc::new(Hook::compile(
            webhook,
            self.context.memory.clone(),
            compile_context(&self.context),
        ));
        hooks.insert(key, Arc::clone(&hook));
        hook
    }

    pub(crate) fn shared(&self, key: String) -> Arc<OnceCell<Judged>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.len() >= MOST_KEPT && !shared.contains_key(&key) {
            shared.clear();
        }
        Arc::clone(shared.entry(key).or_default())
    }
}

fn compile_context(context: &ModelContext) -> CompileContext<'_> {
    CompileContext {
        secrets: &context.secrets,
        egress: context.egress.clone(),
        limits: context.limits,
        root_certificates: &context.root_certificates,
    }
}
