//! A dialogue's life: one test, one unit of work, several calls.
//!
//! Turn after turn: what the user says, the call, the turn's metrics. After each turn where the dialogue is goes to the store
//! (`checkpoint`), when the endpoint's `takeover` is to resume; whoever goes on with the test begins after the last turn that
//! was kept, and says the one that was cut off again. With `restart` nothing is kept, and every attempt is a new conversation.
//!
//! Where a model plays the user ([`user`]), it is asked after each answer whether its goal is reached, and what it says next is kept
//! with the turn, so that whoever goes on does not ask again.
//!
//! A turn is executed and evaluated as a test of one call (`turn`), so everything that holds for calls holds here.

pub(super) mod ending;
pub(super) mod judging;
pub(super) mod state;
pub(super) mod turn;
mod user;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use testfleet_endpoint::{AnswerShare, Conversation, Invocation, InvokeError, Turn as Place};
use testfleet_evaluation::effective;
use testfleet_model::Status;
use testfleet_model::configuration::{ConversationMode, Takeover};
use testfleet_model::result::{ErrorClass, ErrorDetail, TurnResult};
use testfleet_store::{Kept, Signal};
use tracing::{debug, warn};

pub use self::state::DialogueState;
use self::state::MAX_TRANSCRIPT;
use super::evaluating::{self, Evidence};
use super::trial::{Attempt, Trial};
use super::{NOT_NOW, TestExecutor, captured_too_much, milliseconds, not_now, time_limit, too_long};
use crate::attempt::Outcome;
use crate::capping;
use crate::load::Load;

impl Attempt<'_> {
    fn resumes(&self) -> bool {
        self.trial.plan.configuration.endpoint.conversation.takeover == Takeover::Resume
    }
}

/// A dialogue in the making.
struct Dialogue {
    state: DialogueState,
    conversation: Conversation,
    /// What tests before it and its turns so far captured.
    captured: Map<String, Value>,
    /// What was used in this attempt.
    used: Used,
    /// Whether the endpoint is being called.
    calling: bool,
    /// Whether it has answered in this attempt.
    answered: bool,
}

impl Dialogue {
    /// What is left of it when it is over.
    fn into_state(self) -> DialogueState {
        DialogueState {
            conversation_id: self.conversation.id().map(str::to_owned),
            ..self.state
        }
    }
}

/// Tokens and cost of several calls.
#[derive(Default)]
struct Used {
    usage: BTreeMap<String, f64>,
    cost: Option<f64>,
}

impl Used {
    fn add(&mut self, usage: &BTreeMap<String, f64>, cost: Option<f64>) {
        for (name, count) in usage {
            *self.usage.entry(name.clone()).or_default() += count;
        }
        if let Some(cost) = cost {
            *self.cost.get_or_insert_default() += cost;
        }
    }

    fn load(&self, load: Load) -> Load {
        load.with(&self.usage, self.cost)
    }
}

/// How the turns ended.
enum Ended {
    /// The last one was answered.
    Over(Box<Invocation>),
    /// A turn did not pass, and the test wants no other after one.
    Stopped,
    /// A call failed.
    Failed(Box<InvokeError>),
    /// The dialogue cannot go on, and would not the next time.
    Wrong(ErrorDetail),
    /// Somebody else has the test, or its run is closed.
    Gone,
}

impl TestExecutor {
    /// Leads the dialogue of a test to its end, or to where this attempt ends.
    pub(super) async fn converse(&self, attempt: Attempt<'_>, share: &mut AnswerShare) -> Outcome {
        let mut dialogue = match self.take_up(attempt).await {
            Ok(dialogue) => dialogue,
            Err(outcome) => return outcome,
        };
        // That it goes on is kept too: an attempt may take no turn to its end.
        if dialogue.state.record.resumed > 0 && !self.keep(attempt, &dialogue).await {
            return not_now();
        }
        let led = tokio::time::timeout_at(attempt.trial.by, self.lead(attempt, &mut dialogue, share)).await;
        let Ok(ended) = led else {
            // Only waiting for the endpoint can be a fault of it, and waiting for room for its answer is none.
            let signal = if dialogue.calling && !share.waits() {
                Signal::TimedOut
            } else {
                Signal::CutOff
            };
            let Trial { job, test, plan, .. } = attempt.trial;
            let limit = time_limit(test, plan);
            let error = ErrorDetail::new(ErrorClass::TestTimeout, too_long(limit, job.attempt));
            let load = dialogue.used.load(Load::of(signal));
            return self.in_error(attempt, dialogue, error, load);
        };
        dialogue.conversation.close().await;
        match ended {
            Ended::Over(last) => self.over(attempt, dialogue, *last).await,
            Ended::Stopped => {
                let load = dialogue.used.load(Load::of(Signal::Accepted));
                let decision = self.decide(attempt.trial, &dialogue.state.turns, None, None);
                let result = self.result(attempt.trial, dialogue.into_state(), decision);
                self.end(attempt, result, load)
            }
            Ended::Failed(failure) => self.call_failed(attempt, dialogue, *failure),
            Ended::Wrong(error) => {
                let called = if dialogue.answered {
                    Load::of(Signal::Answered)
                } else {
                    Load::default()
                };
                let load = dialogue.used.load(called);
                self.in_error(attempt, dialogue, error, load)
            }
            Ended::Gone => {
                debug!(run.id = %attempt.trial.job.run, test.id = %attempt.trial.test.id, "the dialogue is somebody else's, or its run is closed");
                Outcome::NotNow {
                    delay: NOT_NOW,
                    sent: true,
                }
            }
        }
    }

    /// A new dialogue, or the one that was kept.
    async fn take_up(&self, attempt: Attempt<'_>) -> Result<Dialogue, Outcome> {
        let Trial { job, test, .. } = attempt.trial;
        let mut captured = attempt.trial.captured();
        let kept = if attempt.resumes() {
            self.kept(attempt).await?
        } else {
            None
        };
        // A conversation that is begun again is another one; one that goes on is the same to the endpoint.
        let part = if attempt.resumes() {
            String::new()
        } else {
            job.fence.to_string()
        };
        if let Some(mut state) = kept {
            state.record.resumed += 1;
            state.record.resumed_at_turn = u32::try_from(state.turns.len() + 1).ok();
            captured.extend(state.captured.clone());
            return Ok(Dialogue {
                conversation: Conversation::new(state.conversation_id.clone(), part),
                state,
                captured,
                used: Used::default(),
                calling: false,
                answered: false,
            });
        }
        let mut state = DialogueState::default();
        for (at, message) in test.messages.iter().flatten().enumerate() {
            let mut message = message.clone();
            if test.render {
                let call = attempt.trial.call(test, &captured);
                let key = format!("messages[{at}].content");
                message.content = match attempt.target.render_text(&call, &key, &message.content) {
                    Ok(text) => text,
                    Err(error) => {
                        return Err(self.refuse(job, test, attempt.trial.claimed_at, error.detail, ""));
                    }
                };
            }
            state.transcript.push(message);
        }
        Ok(Dialogue {
            state,
            conversation: Conversation::new(None, part),
            captured,
            used: Used::default(),
            calling: false,
            answered: false,
        })
    }

    /// Where the dialogue was when another attempt let go of it.
    async fn kept(&self, attempt: Attempt<'_>) -> Result<Option<DialogueState>, Outcome> {
        let Trial { job, test, .. } = attempt.trial;
        let stored = match self.store.dialogue(job.run, job.index).await {
            Ok(stored) => stored,
            Err(error) => {
                debug!(run.id = %job.run, test.id = %test.id, %error, "where the dialogue is could not be read; the test is handed back");
                return Err(not_now());
            }
        };
        let Some(stored) = stored else { return Ok(None) };
        let state = DialogueState::from_stored(&stored, test.max_turns() as usize);
        if state.is_none() {
            warn!(run.id = %job.run, test.id = %test.id, "where the dialogue was cannot be read; it begins anew");
        }
        Ok(state)
    }

    async fn lead(&self, attempt: Attempt<'_>, dialogue: &mut Dialogue, share: &mut AnswerShare) -> Ended {
        let test = attempt.trial.test;
        loop {
            let index = dialogue.state.turns.len();
            if let Some(user) = &test.simulated_user {
                match user::open(attempt, dialogue, user).await {
                    Ok(true) if attempt.resumes() && !self.keep(attempt, dialogue).await => return Ended::Gone,
                    Ok(_) => {}
                    Err(ended) => return ended,
                }
            }
            let said = match self.next_words(attempt, dialogue, index) {
                Ok(said) => said,
                Err(ended) => return ended,
            };
            // What is left of the answer before is no larger than a result may be.
            *share = self.memory.share();
            let answered = self.take_turn(attempt, dialogue, index, &said, share).await;
            let invocation = match answered {
                Ok(invocation) => invocation,
                Err(ended) => return ended,
            };
            let status = dialogue.state.turns.last().map_or(Status::Pass, |turn| turn.status);
            let is_last = index + 1 >= test.max_turns() as usize;
            if is_last && test.simulated_user.is_none() {
                return Ended::Over(Box::new(invocation));
            }
            if test.stop_on_failure && status != Status::Pass {
                return Ended::Stopped;
            }
            if dialogue.state.length() > MAX_TRANSCRIPT {
                let message =
                    format!("the conversation has come to more than {MAX_TRANSCRIPT} bytes; no more of it can be sent");
                return Ended::Wrong(ErrorDetail::new(ErrorClass::TooLarge, message));
            }
            if let Some(user) = &test.simulated_user {
                match user::react(attempt, dialogue, user, &invocation.output, is_last).await {
                    Ok(true) => return Ended::Over(Box::new(invocation)),
                    Ok(false) => {}
                    Err(ended) => return ended,
                }
            }
            if attempt.resumes() && !self.keep(attempt, dialogue).await {
                return Ended::Gone;
            }
        }
    }

    /// What the user says next.
    fn next_words(&self, attempt: Attempt<'_>, dialogue: &mut Dialogue, index: usize) -> Result<String, Ended> {
        let test = attempt.trial.test;
        if let Some(next) = dialogue.state.next.take() {
            return Ok(next);
        }
        let Some(turn) = test.turns.get(index) else {
            let message = "the test has no turn that could be taken; this is a defect of ours";
            return Err(Ended::Wrong(ErrorDetail::new(ErrorClass::Internal, message)));
        };
        if !test.render {
            return Ok(turn.input.clone());
        }
        let call = attempt.trial.call(test, &dialogue.captured);
        let rendered = attempt
            .target
            .render_text(&call, &format!("turns[{index}].input"), &turn.input);
        rendered.map_err(|error| Ended::Wrong(error.detail))
    }

    /// Calls the endpoint and evaluates the turn's metrics.
    async fn take_turn(
        &self,
        attempt: Attempt<'_>,
        dialogue: &mut Dialogue,
        index: usize,
        said: &str,
        share: &mut AnswerShare,
    ) -> Result<Invocation, Ended> {
        let trial = attempt.trial;
        let Trial { job, test, plan, .. } = trial;
        let written = test.turns.get(index);
        let place = u32::try_from(index).unwrap_or(u32::MAX);
        let name = written.and_then(|turn| turn.name.clone());
        let mut record = TurnResult::new(place.saturating_add(1), name, said, Status::Pass);
        record.attempt = job.attempt;
        dialogue.conversation.begin(Place {
            index: place,
            count: u32::try_from(test.turns.len()).ok().filter(|count| *count > 0),
        });
        let state = &mut dialogue.state;
        state.transcript.push(turn::said_by_user(said));
        let known = match plan.configuration.endpoint.conversation.mode {
            ConversationMode::Stateful => state.heard,
            ConversationMode::Stateless | ConversationMode::None => 0,
        };
        let mut one = turn::test_of(test, written, said, &state.transcript[known..]);
        if index + 1 == test.turns.len() {
            // What the test captures, it captures from its last answer.
            one.capture.extend(test.capture.clone());
        }
        dialogue.calling = true;
        let call = trial.call(&one, &dialogue.captured);
        let answered = attempt.target.invoke_in(&call, &mut dialogue.conversation, share).await;
        dialogue.calling = false;
        let invocation = match answered {
            Ok(invocation) => invocation,
            Err(failure) => {
                record.status = Status::Error;
                record.error = Some(failure.detail.clone());
                record.usage.clone_from(&failure.usage);
                record.cost = failure.cost;
                capping::cap_turn(&mut record, self.max_output);
                dialogue.state.turns.push(record);
                return Err(Ended::Failed(Box::new(failure)));
            }
        };
        dialogue.answered = true;
        dialogue.used.add(&invocation.usage, invocation.cost);
        let state = &mut dialogue.state;
        state.transcript.push(turn::answered(&invocation.output));
        state.heard = state.transcript.len();
        state.conversation_id = dialogue.conversation.id().map(str::to_owned);
        for (name, value) in &invocation.captured {
            state.captured.insert(name.clone(), value.clone());
            dialogue.captured.insert(name.clone(), value.clone());
        }
        let total = trial.total_time();
        record.total_time_ms = Some(milliseconds(total));
        record.http_status = Some(invocation.status);
        record.invoke_time_ms = Some(milliseconds(invocation.elapsed));
        record.ttft_ms = invocation.ttft.map(milliseconds);
        record.usage.clone_from(&invocation.usage);
        record.cost = invocation.cost;
        record.finish_reason = invocation.finish_reason();
        record.tool_calls = invocation.tool_calls().cloned();
        record.output = Some(invocation.output.clone());
        record.context = invocation.kept("context");
        record.metadata = invocation.kept("metadata");
        one.messages = Some(state.transcript.clone());
        let held_to = effective(&plan.configuration.metrics, &one);
        record.headers = evaluating::headers_for(held_to, &invocation.headers);
        let reason = invocation.finish_reason();
        let evidence = Evidence::of(&invocation, reason.as_deref(), job.attempt, total);
        judging::judge_turn(trial, &one, &dialogue.captured, evidence, &[], &mut record)
            .await
            .map_err(Ended::Wrong)?;
        capping::cap_turn(&mut record, self.max_output);
        dialogue.state.turns.push(record);
        let captured = serde_json::to_string(&dialogue.captured).map_or(0, |text| text.len());
        if !dialogue.state.captured.is_empty() && captured > self.max_result {
            return Err(Ended::Wrong(captured_too_much(captured, self.max_result)));
        }
        Ok(invocation)
    }

    /// Keeps where the dialogue is; answers whether it is still ours. A store that does not answer keeps nobody from going on:
    /// what was kept before is what the next one begins with.
    async fn keep(&self, attempt: Attempt<'_>, dialogue: &Dialogue) -> bool {
        let Trial { job, holder, test, .. } = attempt.trial;
        let Some(stored) = dialogue.state.to_stored(self.max_result) else {
            debug!(run.id = %job.run, test.id = %test.id, "where the dialogue is takes more than limits.max_result_bytes; an earlier turn stays the one to go on from");
            return true;
        };
        match self
            .store
            .checkpoint(holder, job.run, job.index, job.fence, &stored)
            .await
        {
            Ok(Kept::Kept) => true,
            Ok(Kept::Lost | Kept::Closed | Kept::Unknown) => false,
            Err(error) => {
                debug!(run.id = %job.run, test.id = %test.id, %error, "where the dialogue is could not be kept; it goes on");
                true
            }
        }
    }
}

fn defect(what: &str) -> ErrorDetail {
    ErrorDetail::new(ErrorClass::Internal, format!("{what}; this is a defect of ours"))
}
