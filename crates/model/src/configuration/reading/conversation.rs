//! Reads `endpoint.conversation`.

use crate::configuration::{Conversation, ConversationMode, IdFrom, ResponseSpec, Takeover};

use super::field::Field;
use super::section::{Findings, Section};

/// The field of `response.map` that names a conversation.
const MAPPED: &str = "conversation_id";

/// Reads how an endpoint holds conversations; `response` is how its responses are read.
pub(super) fn read_conversation(
    field: Option<Field>,
    response: &ResponseSpec,
    findings: &mut Findings,
) -> Option<Conversation> {
    let mut section = Section::open(field?, findings)?;
    let modes = [
        ("none", ConversationMode::None),
        ("stateful", ConversationMode::Stateful),
        ("stateless", ConversationMode::Stateless),
    ];
    let mode = match section.take("mode") {
        Some(field) => field.word(&modes, &[], findings),
        None => {
            let message = "write `stateful` when the endpoint remembers what was said, `stateless` when each call carries all of it";
            section.missing("mode", message, findings);
            None
        }
    };
    let mut conversation = Conversation {
        mode: mode.unwrap_or_default(),
        takeover: mode.unwrap_or_default().default_takeover(),
        ..Conversation::default()
    };
    let needs = |wanted: ConversationMode, field: &Field, findings: &mut Findings| {
        if mode.is_some_and(|mode| mode != wanted) {
            let message = "only a stateful endpoint names its conversations";
            findings.problem(field.key_position, &field.path, message);
        }
    };
    if let Some(field) = section.take("id_from") {
        needs(ConversationMode::Stateful, &field, findings);
        let words = [("endpoint", IdFrom::Endpoint), ("client", IdFrom::Client)];
        conversation.id_from = field.word(&words, &[], findings).unwrap_or_default();
    }
    if let Some(field) = section.take("id_field") {
        needs(ConversationMode::Stateful, &field, findings);
        if conversation.id_from == IdFrom::Client {
            let message = "with `id_from: client` no response is looked at for an id";
            findings.problem(field.key_position, &field.path, message);
        } else if response.map.fields.contains_key(MAPPED) {
            let message = "endpoint.response.map.conversation_id says already where the id is; give one of them";
            findings.problem(field.key_position, &field.path, message);
        }
        let at = field.clone_place();
        conversation.id_field = field.filled_text(findings);
        if let Some(name) = conversation.id_field.as_ref().filter(|name| name.starts_with('$')) {
            let message = format!(
                "expected the name of a member of the response's body, found {name:?}; a path goes to \
                 endpoint.response.map.conversation_id"
            );
            at.problem(message, findings);
        }
    }
    if let Some(field) = section.take("takeover") {
        if mode == Some(ConversationMode::None) {
            let message = "without conversations there are none that could be taken over";
            findings.problem(field.key_position, &field.path, message);
        }
        let words = [("restart", Takeover::Restart), ("resume", Takeover::Resume)];
        if let Some(takeover) = field.word(&words, &[], findings) {
            conversation.takeover = takeover;
        }
    }
    section.finish(findings);
    // What says nothing is stored as if it was not written.
    if conversation.is_none() {
        return None;
    }
    Some(conversation)
}
