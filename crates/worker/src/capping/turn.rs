//! Keeping the turns of a dialogue under the size cap of its result. What a turn came to is worth more than what was said in
//! it, and a turn that did not pass more than one that did.

use testfleet_model::Status;
use testfleet_model::result::TurnResult;

use super::{MAX_REASON_BYTES, cap_text, cap_value, note};

/// Cuts what was said in a turn to `max` bytes each, and its reasons; says in `cut` what.
pub(crate) fn cap(turn: &mut TurnResult, max: usize) {
    let mut cut = std::mem::take(&mut turn.cut);
    note(&mut cut, "input", cap_text(&mut turn.input, max));
    for (name, value) in [
        ("output", &mut turn.output),
        ("tool_calls", &mut turn.tool_calls),
        ("context", &mut turn.context),
        ("metadata", &mut turn.metadata),
    ] {
        if let Some(whole) = value.take() {
            let (capped, was_cut) = cap_value(whole, max);
            *value = Some(capped);
            note(&mut cut, name, was_cut);
        }
    }
    if let Some(reason) = &mut turn.finish_reason {
        note(&mut cut, "finish_reason", cap_text(reason, MAX_REASON_BYTES));
    }
    for metric in &mut turn.metrics {
        note(&mut cut, "reasons", cap_text(&mut metric.reason, MAX_REASON_BYTES));
        if let Some(error) = &mut metric.error {
            note(&mut cut, "reasons", cap_text(error, MAX_REASON_BYTES));
        }
    }
    if let Some(error) = &mut turn.error {
        note(&mut cut, "reasons", cap_text(&mut error.message, MAX_REASON_BYTES));
    }
    turn.cut = cut;
}

/// Cuts all turns together to about `room` bytes.
pub(super) fn shrink(turns: &mut [TurnResult], room: usize) {
    // Half of it for what was said, the rest for metrics and names.
    let each = room / (turns.len().max(1) * 4);
    for turn in turns.iter_mut() {
        cap(turn, each);
        leave_out(turn);
        for metric in &mut turn.metrics {
            cap_text(&mut metric.reason, 200.min(each));
        }
    }
}

/// Leaves out what else there is of an answer.
fn leave_out(turn: &mut TurnResult) {
    for (name, value) in [
        ("tool_calls", &mut turn.tool_calls),
        ("context", &mut turn.context),
        ("metadata", &mut turn.metadata),
    ] {
        note(&mut turn.cut, name, value.take().is_some());
    }
    turn.headers.clear();
}

/// Leaves little more than what each turn came to.
pub(super) fn strip(turns: &mut [TurnResult]) {
    let mut kept = 20;
    for turn in turns.iter_mut() {
        // The names of what was cut take room, too; this one says enough.
        turn.cut = ["output".to_owned()].into();
        turn.output = None;
        leave_out(turn);
        turn.usage.clear();
        cap_text(&mut turn.input, 40);
        if let Some(name) = &mut turn.name {
            cap_text(name, 40);
        }
        if let Some(error) = &mut turn.error {
            error.body = None;
            cap_text(&mut error.message, 200);
        }
        turn.metrics.retain(|metric| metric.is_successful != Some(true));
        // Some hundreds of them: the first that failed say most.
        let is_kept = turn.status != Status::Pass && kept > 0;
        turn.metrics.truncate(if is_kept { kept } else { 0 });
        kept -= turn.metrics.len();
    }
}
