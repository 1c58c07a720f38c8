//! What ties the calls of a dialogue together: the id under which the endpoint keeps it, the number of the turn, and over a
//! WebSocket the connection.
//!
//! What was said is the caller's: it makes a test of each turn, whose `messages` are all that the endpoint is to be told. An
//! id comes from the endpoint's answers, or is made up here; see [`testfleet_model::configuration::Conversation`].

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};
use testfleet_model::configuration::{
    Conversation as Spec, ConversationMode, Endpoint, ID_FIELDS, IdFrom, ResponseFormat,
};

use crate::call::Call;
use crate::mapping::Mapping;
use crate::problem::CompileProblem;
use crate::request::Plan;
use crate::web_socket::Socket;

/// A conversation with an endpoint. One of the default is that of a test with a single call.
#[derive(Debug, Default)]
pub struct Conversation {
    id: Option<String>,
    turn: Option<Turn>,
    part: String,
    /// The connection of the turn before.
    socket: Option<Box<Socket>>,
}

/// Where a dialogue is: what templates know as `turn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// From 0.
    pub index: u32,
    /// How many there will be; `None` when nobody knows yet.
    pub count: Option<u32>,
}

impl Turn {
    /// Whether another one may follow.
    fn is_last(self) -> bool {
        self.count.is_some_and(|count| self.index + 1 >= count)
    }
}

impl Conversation {
    /// A dialogue that goes on under this id, or one without an id yet. `part` tells it from other dialogues of the same
    /// test in the same epoch, and is empty when there are none; of a call that stands alone, it tells the call from others.
    #[must_use]
    pub fn new(id: Option<String>, part: impl Into<String>) -> Self {
        Self {
            id,
            turn: None,
            part: part.into(),
            socket: None,
        }
    }

    /// The id: the newest one that the endpoint gave, or the one that was made up.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The next calls belong to this turn.
    pub fn begin(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// The turn that the next call belongs to; `None`: the call stands alone.
    #[must_use]
    pub fn turn(&self) -> Option<Turn> {
        self.turn
    }

    /// Whether another turn may follow the one that is on.
    pub(crate) fn goes_on(&self) -> bool {
        self.turn.is_some_and(|turn| !turn.is_last())
    }

    /// Takes the connection for the turns to come.
    pub(crate) fn keep(&mut self, socket: Box<Socket>) {
        self.socket = Some(socket);
    }

    /// The connection of the turn before, unless the endpoint has closed it since.
    pub(crate) fn connection(&mut self) -> Option<Box<Socket>> {
        let mut socket = self.socket.take()?;
        socket.is_open().then_some(socket)
    }

    /// Says goodbye to the endpoint where a connection was kept; without it the connection just ends.
    pub async fn close(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.close().await;
        }
    }

    /// What tells the calls of one attempt from each other; the same whenever a turn is said again. Empty for a call that
    /// stands alone, unless it was told from others.
    pub(crate) fn key(&self) -> String {
        let turn = self.turn.map(|turn| turn.index + 1);
        match (turn, self.part.as_str()) {
            (None, part) => part.to_owned(),
            (Some(turn), "") => format!("turn-{turn}"),
            (Some(turn), part) => format!("{part}/turn-{turn}"),
        }
    }
}

/// How an endpoint names its conversations.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    from: Option<IdFrom>,
    /// Whether the request carries the id, so that a turn without one would be lost.
    carried: bool,
}

impl Naming {
    /// Compiles how conversations are named, and reports requests that carry nothing that would make a conversation of them.
    pub(crate) fn compile(endpoint: &Endpoint, plan: &Plan, problems: &mut Vec<CompileProblem>) -> Self {
        let spec = &endpoint.conversation;
        let needed = match spec.mode {
            ConversationMode::None => return Self::default(),
            ConversationMode::Stateful => (
                "conversation_id",
                "the endpoint cannot know which conversation a turn belongs to",
            ),
            ConversationMode::Stateless => ("messages", "the endpoint would not know what was said before"),
        };
        let carried = plan.uses(needed.0);
        if !carried {
            let message = format!(
                "nothing in the request uses `{}`, so {}; write {{{{ {} }}}} where it belongs",
                needed.0, needed.1, needed.0
            );
            problems.push(CompileProblem::new("endpoint.conversation.mode", message));
        }
        let is_stateful = spec.mode == ConversationMode::Stateful;
        Self {
            from: is_stateful.then_some(spec.id_from),
            carried: carried && is_stateful,
        }
    }

    /// Gives a conversation its id where we are to name it.
    pub(crate) fn name(&self, call: &Call<'_>, conversation: &mut Conversation) {
        if self.from == Some(IdFrom::Client) && conversation.id.is_none() {
            conversation.id = Some(made_up(call, &conversation.part));
        }
    }

    /// Takes the id that an answer gave. An error when the next turn would need one and there is none.
    pub(crate) fn learn(&self, given: Option<&str>, conversation: &mut Conversation) -> Result<(), String> {
        if self.from != Some(IdFrom::Endpoint) {
            return Ok(());
        }
        if let Some(id) = given {
            conversation.id = Some(id.to_owned());
        }
        let goes_on = conversation.turn.is_some_and(|turn| !turn.is_last());
        if self.carried && goes_on && conversation.id.is_none() {
            return Err(format!(
                "the response does not say which conversation it belongs to, and the next turn needs its id: there is no {}; \
                 say where it is with endpoint.response.map.conversation_id",
                ID_FIELDS.join(", ")
            ));
        }
        Ok(())
    }
}

/// Where an id may be in a response, the likeliest place first. A mapping of it comes before these.
pub(crate) fn places(spec: &Spec, is_mapped: bool, format: ResponseFormat) -> Vec<Mapping> {
    if spec.mode != ConversationMode::Stateful || spec.id_from != IdFrom::Endpoint || is_mapped {
        return Vec::new();
    }
    if format == ResponseFormat::Text {
        return Vec::new();
    }
    let named = spec.id_field.as_deref();
    let names: Vec<&str> = named.map_or_else(|| ID_FIELDS.to_vec(), |name| vec![name]);
    names
        .into_iter()
        .filter_map(|name| Mapping::compile(&format!("$[{}]", Value::from(name)), format).ok())
        .collect()
}

/// An id as text; `None` for what cannot be one.
pub(crate) fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// An id for a dialogue: always the same for the same one, in the form of a UUID (version 8, RFC 9562).
fn made_up(call: &Call<'_>, part: &str) -> String {
    let digest = Sha256::new()
        .chain_update(call.run.as_uuid().as_bytes())
        .chain_update(format!("conversation/{}/{}/{part}", call.index, call.epoch))
        .finalize();
    let mut bytes: Vec<u8> = digest.into_iter().take(16).collect();
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut id = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // Writing into a text cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}
