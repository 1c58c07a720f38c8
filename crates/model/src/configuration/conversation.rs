//! How an endpoint holds conversations.

use serde::{Deserialize, Serialize};

/// How the calls of a dialogue belong together, and what becomes of a dialogue that is cut off in the middle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Who remembers what was said.
    pub mode: ConversationMode,
    /// Stateful: who names a conversation.
    #[serde(default, skip_serializing_if = "IdFrom::is_default")]
    pub id_from: IdFrom,
    /// Stateful: the member of a response's body that names the conversation. `None`: `response.map.conversation_id`, else
    /// the first of [`ID_FIELDS`] that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_field: Option<String>,
    /// What becomes of a dialogue when another attempt goes on with its test.
    #[serde(default)]
    pub takeover: Takeover,
}

/// Members of a response's body that name a conversation without being asked for, in the order in which they are looked for.
pub const ID_FIELDS: [&str; 4] = ["conversation_id", "session_id", "thread_id", "chat_id"];

impl Conversation {
    /// Whether each call stands alone. Then nothing of it is stored.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.mode == ConversationMode::None
    }
}

/// Who remembers what was said in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConversationMode {
    /// Nobody: each call stands alone, and there are no dialogues.
    #[default]
    None,
    /// The endpoint, under an id. A call carries what is new.
    Stateful,
    /// Nobody but us: each call carries everything that was said.
    Stateless,
}

impl ConversationMode {
    /// What becomes of a dialogue unless the configuration says otherwise: without a memory of its own an endpoint can go on
    /// anywhere, and one that has a memory may have heard more than we know of.
    #[must_use]
    pub fn default_takeover(self) -> Takeover {
        match self {
            Self::Stateless => Takeover::Resume,
            Self::None | Self::Stateful => Takeover::Restart,
        }
    }
}

/// Who names a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdFrom {
    /// The endpoint: its first response has the id, and the calls after it carry it.
    #[default]
    Endpoint,
    /// We do: every call carries an id that was made up for the dialogue.
    Client,
}

impl IdFrom {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a dialogue when another attempt goes on with its test: after an error that is tried again, or because the
/// worker was lost or stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Takeover {
    /// A new conversation begins at the first turn.
    #[default]
    Restart,
    /// The conversation goes on after the last turn that was kept. The turn that was cut off is said again.
    Resume,
}
