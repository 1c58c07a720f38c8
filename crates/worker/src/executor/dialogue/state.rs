//! Where a dialogue is: what is kept of it after each turn, and read by whoever goes on with its test.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use testfleet_model::configuration::Message;
use testfleet_model::result::{DialogueRecord, TurnResult};

/// What all that was said may come to, in bytes: as much as a request may have.
pub(super) const MAX_TRANSCRIPT: usize = 4 * 1024 * 1024;

/// Where a dialogue is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DialogueState {
    /// All that was said, in order, with the messages before the first turn.
    pub(in crate::executor) transcript: Vec<Message>,
    /// How many of those the endpoint has.
    pub(in crate::executor) heard: usize,
    /// The turns that were taken.
    pub(in crate::executor) turns: Vec<TurnResult>,
    /// What those captured.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(in crate::executor) captured: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::executor) conversation_id: Option<String>,
    /// What a simulated user says next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::executor) next: Option<String>,
    #[serde(default)]
    pub(in crate::executor) record: DialogueRecord,
}

impl DialogueState {
    /// As it is stored; `None` when that is more than `most` bytes.
    #[must_use]
    pub fn to_stored(&self, most: usize) -> Option<Vec<u8>> {
        let bytes = serde_json::to_vec(self).ok()?;
        (bytes.len() <= most).then_some(bytes)
    }

    /// What was kept, when it belongs to a dialogue of at most so many turns: of another version, or by somebody else's
    /// hand, it may be anything.
    #[must_use]
    pub fn from_stored(bytes: &[u8], max_turns: usize) -> Option<Self> {
        let state: Self = serde_json::from_slice(bytes).ok()?;
        let is_sound = (!state.turns.is_empty() || state.next.is_some())
            && state.turns.len() < max_turns
            && state.heard <= state.transcript.len()
            && state
                .turns
                .iter()
                .zip(1..)
                .all(|(turn, number): (_, u32)| turn.number == number);
        is_sound.then_some(state)
    }

    /// Bytes of all that was said.
    pub(super) fn length(&self) -> usize {
        self.transcript.iter().map(|message| message.content.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use testfleet_model::Status;

    use super::*;

    fn state(turns: u32) -> DialogueState {
        DialogueState {
            transcript: vec![
                Message {
                    role: "user".to_owned(),
                    content: "hi".to_owned(),
                };
                2
            ],
            heard: 2,
            turns: (1..=turns)
                .map(|number| TurnResult::new(number, None, "hi", Status::Pass))
                .collect(),
            conversation_id: Some("c".to_owned()),
            ..DialogueState::default()
        }
    }

    #[test]
    fn what_is_kept_reads_as_it_was() {
        let stored = state(2).to_stored(10_000).unwrap();
        assert_eq!(DialogueState::from_stored(&stored, 3), Some(state(2)));
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let length = state(2).to_stored(10_000).unwrap().len();
        assert!(state(2).to_stored(length).is_some());
        assert!(state(2).to_stored(length - 1).is_none());
    }

    #[test]
    fn what_cannot_be_gone_on_from_is_not_read() {
        let stored = |state: &DialogueState| state.to_stored(10_000).unwrap();
        assert!(
            DialogueState::from_stored(&stored(&state(2)), 2).is_none(),
            "it is over"
        );
        assert!(
            DialogueState::from_stored(&stored(&state(0)), 2).is_none(),
            "nothing was said"
        );
        let mut heard = state(1);
        heard.heard = 3;
        assert!(DialogueState::from_stored(&stored(&heard), 5).is_none());
        let mut renumbered = state(2);
        renumbered.turns.swap(0, 1);
        assert!(DialogueState::from_stored(&stored(&renumbered), 5).is_none());
        let whole = stored(&state(2));
        for end in 0..whole.len() {
            assert!(DialogueState::from_stored(&whole[..end], 5).is_none(), "{end}");
        }
    }
}
