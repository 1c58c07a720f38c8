//! A dialogue that was led before: the same metrics look at the same answers, turn after turn, and then at the whole.

use testfleet_evaluation::effective;
use testfleet_model::configuration::{Message, TestCase};
use testfleet_model::recorded::RecordedCall;
use testfleet_model::result::{DialogueRecord, ErrorClass, ErrorDetail, TurnResult};
use testfleet_model::{Status, TestResult};

use super::Stored;
use crate::executor::TestExecutor;
use crate::executor::dialogue::ending::all_tool_calls;
use crate::executor::dialogue::judging::{judge_turn, judge_whole};
use crate::executor::dialogue::state::DialogueState;
use crate::executor::dialogue::turn;
use crate::executor::evaluating::Evidence;
use crate::executor::trial::Trial;

impl TestExecutor {
    /// The result of a stored dialogue. No model plays a user: what was said is what is judged.
    pub(super) async fn reevaluate_dialogue(
        &self,
        trial: Trial<'_>,
        stored: &Stored<'_>,
    ) -> Result<TestResult, ErrorDetail> {
        let Trial { test, plan, .. } = trial;
        let call = &*stored.call;
        let captured = trial.captured();
        let mut transcript = opening(trial)?;
        let mut turns: Vec<TurnResult> = Vec::new();
        for (at, told) in call.turns.iter().enumerate() {
            let stops = |turn: &TurnResult| test.stop_on_failure && turn.status != Status::Pass;
            if turns.last().is_some_and(stops) {
                break;
            }
            let Some(answer) = RecordedCall::of_turn(told) else {
                return Err(not_taken(told));
            };
            let mut one = turn::test_of(test, test.turns.get(at), &told.input, &[]);
            transcript.extend([turn::said_by_user(&told.input), turn::answered(&answer.output)]);
            one.messages = Some(transcript.clone());
            let mut record = TurnResult {
                status: Status::Pass,
                ..told.clone()
            };
            let before = stored.before().and_then(|before| before.turns.get(at));
            let before = before.map_or(&[][..], |turn| &turn.metrics);
            let evidence = Evidence::recorded(&answer);
            judge_turn(trial, &one, &captured, evidence, before, &mut record).await?;
            turns.push(record);
        }
        let was_stopped = turns.len() < call.turns.len();
        let record = record_of(stored);
        let mut metrics = Vec::new();
        let mut judged = None;
        let whole = whole_of(test, &turns, &transcript);
        let held_to = effective(&plan.configuration.metrics, &whole);
        if !was_stopped {
            let seen = call_as_whole(call, &turns)?;
            let evidence = Evidence::recorded(&seen).with_goal(&record);
            let before = stored.before().map_or(&[][..], |before| &before.metrics);
            metrics = judge_whole(trial, &whole, &captured, evidence, before, None).await?;
            judged = Some((&held_to[..], &metrics[..]));
        }
        let threshold = test.threshold.filter(|_| !was_stopped);
        let decision = self.decide(trial, &turns, judged, threshold);
        let state = DialogueState {
            transcript,
            turns,
            captured: call.captured.clone().into_iter().collect(),
            conversation_id: call.conversation_id.clone(),
            record,
            ..DialogueState::default()
        };
        let mut result = self.result(trial, state, decision);
        result.set_metrics(metrics);
        if !was_stopped {
            result.http_status = call.http_status;
            result.headers.clone_from(&call.headers);
            result.total_time_ms = call.total_time_ms;
            result.request.clone_from(&call.request);
            result.output = Some(call.output.clone());
        }
        Ok(result)
    }
}

/// What was said before the first turn.
fn opening(trial: Trial<'_>) -> Result<Vec<Message>, ErrorDetail> {
    let Some(messages) = &trial.test.messages else {
        return Ok(Vec::new());
    };
    if !trial.test.render {
        return Ok(messages.clone());
    }
    let captured = trial.captured();
    let prompt = testfleet_endpoint::prompt(&trial.call(trial.test, &captured));
    prompt
        .map(|prompt| prompt.messages)
        .map_err(|message| ErrorDetail::new(ErrorClass::Template, message))
}

/// A turn that was not taken because of the one before it, which would not have ended the dialogue now.
fn not_taken(turn: &TurnResult) -> ErrorDetail {
    let message = format!(
        "the dialogue that was stored ended before {}, because of a turn that did not pass then (stop_on_failure); as it is judged now it \
         would have gone on, and nobody knows what would have been said; execute it anew",
        turn.label()
    );
    ErrorDetail::new(ErrorClass::Reference, message)
}

fn whole_of(test: &TestCase, turns: &[TurnResult], transcript: &[Message]) -> TestCase {
    let said = turns.last().map_or("", |turn| turn.input.as_str());
    turn::whole(test, said, transcript)
}

/// The calls of a dialogue as its own metrics see them, as when it was led: the last answer, the slowest call, the sums, and the
/// tools of all turns.
fn call_as_whole(call: &RecordedCall, turns: &[TurnResult]) -> Result<RecordedCall, ErrorDetail> {
    let last = turns.last().and_then(RecordedCall::of_turn);
    let last =
        last.ok_or_else(|| ErrorDetail::new(ErrorClass::Reference, "the dialogue that was stored has no answer"))?;
    Ok(RecordedCall {
        output: call.output.clone(),
        http_status: call.http_status,
        headers: call.headers.clone(),
        total_time_ms: call.total_time_ms,
        invoke_time_ms: call.invoke_time_ms,
        ttft_ms: call.ttft_ms,
        usage: call.usage.clone(),
        cost: call.cost,
        tool_calls: all_tool_calls(turns).or(last.tool_calls),
        attempts: call.attempts,
        ..last
    })
}

/// What else there is to know of the dialogue. Another run does not pay once more for the model that played the user.
fn record_of(stored: &Stored<'_>) -> DialogueRecord {
    let mut record = stored.call.dialogue.clone().unwrap_or_default();
    if stored.before().is_none() {
        record.user_usage.clear();
        record.user_cost = None;
    }
    record
}
