//! The user of a dialogue whom a model plays: what it says first, and what it makes of each answer.

use serde_json::{Value, json};
use testfleet_endpoint::{Condition, STOP_VARIABLES};
use testfleet_judge::{AskError, Reaction, Scene};
use testfleet_model::configuration::SimulatedUser;
use testfleet_model::result::{DialogueRecord, ErrorClass, ErrorDetail};

use super::{Attempt, Dialogue, Ended};
use crate::executor::evaluating::occasion;

/// Characters of the model's reason that are kept.
const MAX_REASON: usize = 1_000;

/// What the user says, unless that is known already. Answers whether the model was asked.
pub(super) async fn open(attempt: Attempt<'_>, dialogue: &mut Dialogue, user: &SimulatedUser) -> Result<bool, Ended> {
    if dialogue.state.next.is_some() {
        return Ok(false);
    }
    if let Some(message) = user.first_message.as_ref().filter(|_| dialogue.state.turns.is_empty()) {
        let said = if attempt.trial.test.render {
            let call = attempt.trial.call(attempt.trial.test, &dialogue.captured);
            let rendered = attempt
                .target
                .render_text(&call, "simulated_user.first_message", message);
            rendered.map_err(|error| Ended::Wrong(error.detail))?
        } else {
            message.clone()
        };
        dialogue.state.next = Some(said);
        return Ok(false);
    }
    let reaction = ask(attempt, dialogue, user, false).await?;
    if reaction.message.is_empty() {
        let message = "the model that plays the user has nothing to say before the first answer; give the test a `first_message`, or \
                       tell the model in `instructions` how to begin";
        return Err(Ended::Wrong(ErrorDetail::new(ErrorClass::SimulatedUser, message)));
    }
    dialogue.state.next = Some(reaction.message);
    Ok(true)
}

/// What the user makes of an answer. Answers whether the dialogue is over; else what it says next is in the state.
pub(super) async fn react(
    attempt: Attempt<'_>,
    dialogue: &mut Dialogue,
    user: &SimulatedUser,
    output: &Value,
    is_last: bool,
) -> Result<bool, Ended> {
    let is_over = is_last || stops(attempt, dialogue, user, output)?;
    let reaction = ask(attempt, dialogue, user, is_over).await?;
    if reaction.goal_reached || is_over {
        dialogue.state.record.goal_reached = Some(reaction.goal_reached);
        let reason: String = reaction.reason.chars().take(MAX_REASON).collect();
        dialogue.state.record.reason = Some(reason).filter(|reason| !reason.is_empty());
        return Ok(true);
    }
    dialogue.state.next = Some(reaction.message);
    Ok(false)
}

fn stops(attempt: Attempt<'_>, dialogue: &Dialogue, user: &SimulatedUser, output: &Value) -> Result<bool, Ended> {
    let Some(source) = &user.stop_when else {
        return Ok(false);
    };
    let taken = dialogue.state.turns.len();
    let variables = json!({
        "output": output,
        "turn": { "index": taken.saturating_sub(1), "number": taken },
        "vars": attempt.trial.test.vars,
        "captured": dialogue.captured,
    });
    let held = Condition::compile(source, &STOP_VARIABLES).and_then(|condition| condition.holds(&variables));
    held.map_err(|message| {
        let message = format!("simulated_user.stop_when could not be evaluated: {message}");
        Ended::Wrong(ErrorDetail::new(ErrorClass::Template, message))
    })
}

/// Asks the model, and keeps account of what that took. A turn that is taken again may be answered otherwise, and is another
/// question then, since it shows all that was said.
async fn ask(
    attempt: Attempt<'_>,
    dialogue: &mut Dialogue,
    user: &SimulatedUser,
    is_over: bool,
) -> Result<Reaction, Ended> {
    let scene = Scene {
        goal: &user.goal,
        instructions: user.instructions.as_deref(),
        said: &dialogue.state.transcript,
        is_over,
    };
    let model = attempt.trial.plan.models.get(user.model.as_deref()).map_err(failed)?;
    let label = format!("user-{}", dialogue.state.turns.len() + 1);
    let call = attempt.trial.call(attempt.trial.test, &dialogue.captured);
    let asked = model.play(scene, &label, &occasion(&call, attempt.trial.holder)).await;
    let record = &mut dialogue.state.record;
    match asked {
        Ok(reaction) => {
            account(record, &reaction.usage, reaction.cost);
            Ok(reaction)
        }
        Err(error) => {
            account(record, &error.usage, model.cost(&error.usage));
            Err(failed(error))
        }
    }
}

fn account(record: &mut DialogueRecord, usage: &std::collections::BTreeMap<String, f64>, cost: Option<f64>) {
    for (name, tokens) in usage {
        *record.user_usage.entry(name.clone()).or_default() += tokens;
    }
    if let Some(cost) = cost {
        *record.user_cost.get_or_insert(0.0) += cost;
    }
}

fn failed(error: AskError) -> Ended {
    let transient = error.is_transient();
    let message = format!("the model that plays the user gave nothing that could be said: {error}");
    Ended::Wrong(ErrorDetail {
        transient,
        ..ErrorDetail::new(ErrorClass::SimulatedUser, message)
    })
}
