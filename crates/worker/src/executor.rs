//! One test's life: read it, call the endpoint, evaluate, make the result.
//!
//! An attempt *fails* and may be tried again; a test gets a *result*, once. Waiting for another attempt happens in the
//! queue, so that a waiting test holds neither a slot nor room here.

mod dialogue;
mod evaluating;
mod reevaluating;
mod slot;
mod trial;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Map, Value};
use testfleet_endpoint::{AnswerMemory, AnswerShare, InvokeError, RetryAdvice};
use testfleet_evaluation::effective;
use testfleet_model::configuration::TestCase;
use testfleet_model::result::{ErrorClass, ErrorDetail};
use testfleet_model::retry::backoff;
use testfleet_model::{RunId, Status, TestResult};
use testfleet_store::{ClaimedTest, Signal, Store};
use tokio::time::Instant;
use tracing::{debug, error, warn};

pub use self::dialogue::DialogueState;
use self::evaluating::Evidence;
use self::reevaluating::Source;
use self::slot::Slot;
use self::trial::{Attempt, Trial};
use crate::apart::{self, Apart, Lost};
use crate::attempt::{Execute, Job, Outcome};
use crate::backoff::jitter;
use crate::capping;
use crate::clock::ServerClock;
use crate::load::{Load, feedback};
use crate::options::WorkerOptions;
use crate::plan::{NoPlan, Plan, Plans};
use crate::tenure::Tenure;

/// Before a test is offered again that could not be started here.
const NOT_NOW: Duration = Duration::from_secs(1);
/// What a process of its own may take in addition to what the test may.
const APART_MARGIN: Duration = Duration::from_secs(5);
/// The largest `limits.max_test_bytes` that can be set, and as much for a result that is stored with the test: what is larger was
/// not submitted.
const LARGEST_TEST: usize = 32 << 20;

/// What an attempt in a process of its own is made with.
#[derive(Clone, Copy)]
struct Child<'a> {
    apart: &'a Apart,
    /// The incarnation of the worker that holds the test.
    holder: &'a str,
    tenure: &'a Tenure,
}

/// Calls endpoints and evaluates metrics.
pub struct TestExecutor {
    plans: Plans,
    store: Store,
    memory: AnswerMemory,
    worker: String,
    max_output: usize,
    max_result: usize,
    apart: Option<Apart>,
}

impl TestExecutor {
    /// An executor that reads configurations of runs from the store.
    #[must_use]
    pub fn new(store: Store, options: &WorkerOptions) -> Self {
        Self {
            plans: Plans::new(store.clone(), options),
            store,
            memory: AnswerMemory::new(options.answer_memory),
            worker: options.name.clone(),
            max_output: options.max_output_bytes,
            max_result: options.max_result_bytes,
            apart: options.apart.clone(),
        }
    }

    async fn attempt(&self, job: &ClaimedTest, claimed_at: ServerClock, tenure: &Tenure, holder: &str) -> Outcome {
        if job.payload.len() > LARGEST_TEST {
            let bytes = job.payload.len();
            let message = format!("the stored test has {bytes} bytes; no test may have more than {LARGEST_TEST}");
            return self.unreadable(job, claimed_at, &message);
        }
        let test = match TestCase::from_stored(&job.payload) {
            Ok(test) => test,
            Err(error) => return self.unreadable(job, claimed_at, &error.to_string()),
        };
        let plan = match self.plans.of(job.run).await {
            Ok(plan) => plan,
            Err(NoPlan::Gone) => return not_now(),
            Err(NoPlan::Store(error)) => {
                // Every test of the run meets the same; that the store does not answer is said once, by the loops.
                debug!(run.id = %job.run, %error, "the run's configuration could not be loaded; the test is handed back");
                return not_now();
            }
            Err(NoPlan::Broken(reason)) => {
                return self.refuse(
                    job,
                    &test,
                    claimed_at,
                    ErrorDetail::new(ErrorClass::Internal, reason.to_string()),
                    "",
                );
            }
        };
        if test.skip {
            let skipped = TestResult::without_execution(test.id.clone(), job.index, Status::Skipped, None);
            return self.done(skipped, job, &test, claimed_at, "", Load::default());
        }
        if let Some(dependency) = job.unmet {
            let reason = Some(self.not_met(job.run, dependency, &test).await);
            let skipped = TestResult::without_execution(test.id.clone(), job.index, Status::NotRun, reason);
            return self.done(skipped, job, &test, claimed_at, "", Load::default());
        }
        if !tenure.holds() {
            warn!(run.id = %job.run, test.id = %test.id, "the lease ran out before the test was begun; it is left to others");
            return not_now();
        }
        let allowed = plan.configuration.endpoint.retry.max_attempts;
        if job.attempt > allowed && job.lost > 0 {
            let message = format!(
                "{} of {allowed} attempts ended with the loss of the worker that made them",
                job.lost
            );
            let error = ErrorDetail::new(ErrorClass::WorkerLost, message.clone());
            return self.refuse_untried(job, &test, claimed_at, error, &message);
        }
        if let Some(apart) = self.apart.as_ref().filter(|_| apart::is_suspect(job, allowed)) {
            let child = Child { apart, holder, tenure };
            return self.attempt_apart(child, job, &test, &plan, claimed_at).await;
        }
        let limit = time_limit(&test, &plan);
        // The limit covers all attempts of the test and the waits between them.
        let left = limit.saturating_sub(since_begun(job, claimed_at));
        if left.is_zero() {
            let error = ErrorDetail::new(ErrorClass::TestTimeout, too_long(limit, job.attempt - 1));
            return self.refuse_untried(job, &test, claimed_at, error, "");
        }
        // Kept until the result is made: then what is left of the answer is no larger than a result may be.
        let mut share = self.memory.share();
        let trial = Trial {
            job,
            holder,
            test: &test,
            plan: &plan,
            claimed_at,
            by: Instant::now() + left,
        };
        let attempt = async {
            match reevaluating::source(trial) {
                Source::Endpoint(target) => {
                    let attempt = Attempt { trial, target };
                    if test.is_dialogue() {
                        Box::pin(self.converse(attempt, &mut share)).await
                    } else {
                        self.call_and_evaluate(attempt, &mut share).await
                    }
                }
                Source::Stored(stored) => Box::pin(self.reevaluate(trial, *stored)).await,
                Source::None(message) => {
                    let error = ErrorDetail::new(ErrorClass::Reference, message);
                    self.refuse(job, &test, claimed_at, error, "")
                }
            }
        };
        // A Parallel test goes on while the store is away; a Sequential one is let go of, and a process that stood still must
        // not do what it was about to do.
        let ended = if job.sequential {
            tenure.guard(attempt).await
        } else {
            Some(attempt.await)
        };
        ended.unwrap_or_else(|| {
            warn!(run.id = %job.run, test.id = %test.id, "the lease ran out; the test is left to others");
            Outcome::NotNow {
                delay: NOT_NOW,
                sent: true,
            }
        })
    }

    /// The same attempt, made by a process of its own.
    async fn attempt_apart(
        &self,
        child: Child<'_>,
        job: &ClaimedTest,
        test: &TestCase,
        plan: &Plan,
        claimed_at: ServerClock,
    ) -> Outcome {
        let Child { apart, holder, tenure } = child;
        let Some(_room) = apart.room() else {
            return not_now();
        };
        let allowed = plan.configuration.endpoint.retry.max_attempts;
        warn!(run.id = %job.run, test.id = %test.id, job.attempt = job.attempt, lost = job.lost, "workers were lost with this test; it is tried in a process of its own");
        // The child keeps to the limit by itself, unless it is stuck.
        let longest = time_limit(test, plan).saturating_add(APART_MARGIN);
        let lost = match tokio::time::timeout(longest, apart.attempt(job, claimed_at, tenure, holder)).await {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(lost @ Lost::NotStarted(_))) => {
                warn!(run.id = %job.run, test.id = %test.id, error = %lost, "the test is handed back");
                return not_now();
            }
            Ok(Err(lost)) => lost.to_string(),
            Err(_) => "the process that made the attempt gave no answer in time and was ended".to_owned(),
        };
        error!(run.id = %job.run, test.id = %test.id, job.attempt = job.attempt, reason = lost, "an attempt in a process of its own was lost");
        if job.attempt < allowed {
            return Outcome::Retry {
                delay: Duration::ZERO,
                feedback: feedback(Load::of(Signal::CutOff), claimed_at),
            };
        }
        let message = format!("{lost}; {} workers were lost with this test before", job.lost);
        let detail = ErrorDetail::new(ErrorClass::WorkerLost, message.clone());
        let result = TestResult::without_execution(test.id.clone(), job.index, Status::Error, Some(detail));
        self.done(result, job, test, claimed_at, &message, Load::of(Signal::CutOff))
    }

    /// Calls and evaluates, both within the time that the test has left.
    async fn call_and_evaluate(&self, attempt: Attempt<'_>, share: &mut AnswerShare) -> Outcome {
        let Attempt { trial, target } = attempt;
        let Trial {
            job,
            holder,
            test,
            plan,
            claimed_at,
            by,
        } = trial;
        let captured = trial.captured();
        let call = trial.call(test, &captured);
        let called = tokio::time::timeout_at(by, target.invoke_within(&call, share)).await;
        let Ok(answered) = called else {
            let error = ErrorDetail::new(ErrorClass::TestTimeout, too_long(time_limit(test, plan), job.attempt));
            let result = TestResult::without_execution(test.id.clone(), job.index, Status::Error, Some(error));
            // What was late is the endpoint, or it was waited for room for its answer, which is no fault of it.
            let signal = if share.waits() {
                Signal::CutOff
            } else {
                Signal::TimedOut
            };
            return self.done(result, job, test, claimed_at, "", Load::of(signal));
        };
        match answered {
            Ok(invocation) => {
                let load = Load::of_answer(&invocation);
                let captured = merged(&captured, &invocation.captured);
                if captured.len() > self.max_result {
                    let error = captured_too_much(captured.len(), self.max_result);
                    let result = TestResult::without_execution(test.id.clone(), job.index, Status::Error, Some(error));
                    return self.done(result, job, test, claimed_at, "", load);
                }
                let finish_reason = invocation.finish_reason();
                let total = trial.total_time();
                let evidence = Evidence::of(&invocation, finish_reason.as_deref(), job.attempt, total);
                let mut slot = Slot::new(&self.store, holder, job, claimed_at, load);
                let assessment = evaluating::evaluate(trial, &call, evidence, &[], Some(&mut slot)).await;
                let held_to = effective(&plan.configuration.metrics, test);
                let headers = evaluating::headers_for(held_to, &invocation.headers);
                let mut result = evaluating::result_of(assessment, test, job.index, invocation);
                result.headers = headers;
                result.total_time_ms = Some(milliseconds(total));
                result.attempts = job.attempt;
                result.started_at = Some(claimed_at.after(Duration::ZERO));
                self.finish(result, job, test, claimed_at, "", captured, slot.load())
            }
            Err(failure) => self.failed(job, test, plan, claimed_at, failure),
        }
    }

    /// Another attempt where the endpoint's policy has one left, else the error is the result.
    fn failed(
        &self,
        job: &ClaimedTest,
        test: &TestCase,
        plan: &Plan,
        claimed_at: ServerClock,
        failure: InvokeError,
    ) -> Outcome {
        let load = Load::of_failure(&failure);
        if let Some(again) = self.tried_again(job, test, plan, claimed_at, &failure, load) {
            return again;
        }
        let mut result = TestResult::without_execution(test.id.clone(), job.index, Status::Error, Some(failure.detail));
        result.request = failure.request;
        result.usage = failure.usage;
        result.cost = failure.cost;
        self.done(result, job, test, claimed_at, "", load)
    }

    /// Another attempt, where the endpoint's policy has one left.
    fn tried_again(
        &self,
        job: &ClaimedTest,
        test: &TestCase,
        plan: &Plan,
        claimed_at: ServerClock,
        failure: &InvokeError,
        load: Load,
    ) -> Option<Outcome> {
        let retry = &plan.configuration.endpoint.retry;
        let delay = match failure.retry {
            RetryAdvice::No => None,
            RetryAdvice::Backoff => Some(backoff(retry.backoff.initial, retry.backoff.max, job.attempt, jitter())),
            RetryAdvice::After(delay) => Some(delay),
        };
        let in_time = |delay: &Duration| {
            let next = since_begun(job, claimed_at).saturating_add(*delay);
            next < time_limit(test, plan) && retry.max_elapsed.is_none_or(|most| next <= most)
        };
        let delay = delay.filter(|delay| job.attempt < retry.max_attempts && in_time(delay))?;
        debug!(
            run.id = %job.run, test.id = %test.id, job.attempt = job.attempt, error = %failure.detail.message,
            retry_in_ms = delay.as_millis(), "an attempt failed; the test is tried again"
        );
        Some(Outcome::Retry {
            delay,
            feedback: feedback(load, claimed_at),
        })
    }

    /// Why a test was not called: one that it depends on did not pass. Its id is in its result; whoever depends on one only
    /// knows it.
    async fn not_met(&self, run: RunId, dependency: u32, test: &TestCase) -> ErrorDetail {
        let named = match &test.depends_on[..] {
            [only] => only.clone(),
            _ => self
                .plans
                .test_id(run, dependency)
                .await
                .unwrap_or_else(|| format!("number {dependency}")),
        };
        let message = format!("the test {named}, which this one depends on, did not pass; nothing was called");
        ErrorDetail::new(ErrorClass::Dependency, message)
    }

    /// Trying again would read the same.
    fn unreadable(&self, job: &ClaimedTest, claimed_at: ServerClock, message: &str) -> Outcome {
        let detail = ErrorDetail::new(ErrorClass::Payload, message);
        self.refuse(job, &TestCase::default(), claimed_at, detail, message)
    }

    fn panicked(&self, job: &ClaimedTest, claimed_at: ServerClock) -> Outcome {
        error!(run.id = %job.run, test.index = job.index, "an attempt panicked; the test is in error");
        let test = TestCase::from_stored(&job.payload).unwrap_or_default();
        let message = "the executor panicked while it worked on this test; see the worker's log".to_owned();
        let detail = ErrorDetail::new(ErrorClass::Internal, message.clone());
        let result = TestResult::without_execution(test.id.clone(), job.index, Status::Error, Some(detail));
        // It may have called, and what came of it is not known: no fault of the endpoint, and no proof that it is well.
        self.done(result, job, &test, claimed_at, &message, Load::of(Signal::CutOff))
    }

    /// An error before anything could be called.
    fn refuse(
        &self,
        job: &ClaimedTest,
        test: &TestCase,
        claimed_at: ServerClock,
        error: ErrorDetail,
        give_up: &str,
    ) -> Outcome {
        let result = TestResult::without_execution(test.id.clone(), job.index, Status::Error, Some(error));
        self.done(result, job, test, claimed_at, give_up, Load::default())
    }

    /// An error instead of this attempt, which is not counted.
    fn refuse_untried(
        &self,
        job: &ClaimedTest,
        test: &TestCase,
        claimed_at: ServerClock,
        error: ErrorDetail,
        give_up: &str,
    ) -> Outcome {
        let mut result = TestResult::without_execution(test.id.clone(), job.index, Status::Error, Some(error));
        result.attempts = job.attempt.saturating_sub(1);
        self.finish(result, job, test, claimed_at, give_up, String::new(), Load::default())
    }

    fn done(
        &self,
        mut result: TestResult,
        job: &ClaimedTest,
        test: &TestCase,
        claimed_at: ServerClock,
        give_up: &str,
        load: Load,
    ) -> Outcome {
        if !matches!(result.status, Status::Skipped | Status::NotRun) {
            result.attempts = job.attempt;
            result.started_at = Some(claimed_at.after(Duration::ZERO));
        }
        self.finish(result, job, test, claimed_at, give_up, String::new(), load)
    }

    /// Times and places; attempts and start are the caller's.
    #[expect(clippy::too_many_arguments, reason = "what an outcome is made of, once")]
    fn finish(
        &self,
        mut result: TestResult,
        job: &ClaimedTest,
        test: &TestCase,
        claimed_at: ServerClock,
        give_up: &str,
        captured: String,
        load: Load,
    ) -> Outcome {
        let earlier = test.earlier.as_ref().filter(|earlier| earlier.is_before(job.epoch));
        // Where the output of before was evaluated again, the result says so already.
        if let Some(earlier) = earlier.filter(|_| result.recovery.is_none()) {
            result.attempts = result.attempts.saturating_add(earlier.result.attempts);
            result.recovery = Some(earlier.recovery());
        }
        let took = claimed_at.elapsed();
        let status = result.status;
        result.description.clone_from(&test.description);
        result.tags.clone_from(&test.tags);
        result.repetition.clone_from(&test.repetition);
        result.completed_at = Some(claimed_at.after(took));
        result.execution_time_ms = milliseconds(took);
        result.queue_time_ms = Some((claimed_at.read_ms() - job.released_ms).max(0) as f64);
        result.worker = Some(self.worker.clone());
        let result = capping::to_bytes(result, self.max_output, self.max_result);
        Outcome::Done {
            status,
            result,
            captured,
            give_up: give_up.to_owned(),
            feedback: feedback(load, claimed_at),
        }
    }
}

impl Execute for TestExecutor {
    async fn execute(&self, job: Job) -> Outcome {
        // Caught here, where the test is known, so that its result has an id and an attempt like any other.
        match AssertUnwindSafe(self.attempt(&job.test, job.claimed_at, &job.tenure, &job.holder))
            .catch_unwind()
            .await
        {
            Ok(outcome) => outcome,
            Err(_) => self.panicked(&job.test, job.claimed_at),
        }
    }

    fn forget(&self, run: RunId) {
        self.plans.forget(run);
    }
}

fn too_long(limit: Duration, attempts: u32) -> String {
    let limit = testfleet_model::duration::format(limit);
    format!("the test took longer than {limit} in {attempts} attempts")
}

/// Captured values travel with every claim of the run, so all of them together are bounded like one result.
fn captured_too_much(bytes: usize, most: usize) -> ErrorDetail {
    let message = format!(
        "the captured values of the run have {bytes} bytes, more than limits.max_result_bytes ({most}); capture less"
    );
    ErrorDetail::new(ErrorClass::TooLarge, message)
}

/// The longest the test may take, all attempts and waits included.
fn time_limit(test: &TestCase, plan: &Plan) -> Duration {
    let limit = plan.configuration.attributes.per_test_timeout;
    test.timeout.map_or(limit, |own| own.min(limit))
}

/// What has passed since the first attempt of the test was claimed, by the server's clock up to this claim.
fn since_begun(job: &ClaimedTest, claimed_at: ServerClock) -> Duration {
    let before = job
        .begun_ms
        .map_or(0, |begun| claimed_at.read_ms().saturating_sub(begun));
    Duration::from_millis(u64::try_from(before).unwrap_or(0)).saturating_add(claimed_at.elapsed())
}

/// What was captured so far together with what this call captured, as JSON; empty when there is nothing new.
fn merged(before: &Map<String, Value>, captured: &BTreeMap<String, Value>) -> String {
    if captured.is_empty() {
        return String::new();
    }
    let mut all = before.clone();
    for (name, value) in captured {
        all.insert(name.clone(), value.clone());
    }
    Value::Object(all).to_string()
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are as exact as these clocks are, and keep the stored numbers short.
    duration.as_micros() as f64 / 1_000.0
}

/// Nothing was sent.
fn not_now() -> Outcome {
    Outcome::NotNow {
        delay: NOT_NOW,
        sent: false,
    }
}
