//! Tests that take more than one call: written turns, or a user that a model plays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::metric::Metric;
use super::test_case::{MetricsMode, TestCase};

/// The most turns of a test.
pub const MAX_TURNS: u32 = 200;
/// The most turns of a simulated user: each is a call of the endpoint and one of a model.
pub const MAX_SIMULATED_TURNS: u32 = 50;
/// Turns of a simulated user unless the test says otherwise.
pub const DEFAULT_TURNS: u32 = 10;

/// What the user says in one turn, and what a good answer to it looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// What people call it; else its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the user says.
    pub input: String,
    /// What a good answer looks like; the turn's metrics without a `value` compare with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_output: Option<Value>,
    /// The tools that the answer is to call: names, or names with arguments. `None`: nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_tools: Option<Vec<Value>>,
    /// Metrics of the answer to this turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Whether those are all that the answer is held to (as they are, unless the test says otherwise), or those of the test
    /// and the configuration as well.
    #[serde(default = "replace", skip_serializing_if = "is_replace")]
    pub metrics_mode: MetricsMode,
    /// Name → JSONPath over the response body, or template: later turns read `captured.<name>`, and in Sequential later tests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, String>,
}

fn replace() -> MetricsMode {
    MetricsMode::Replace
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_replace(mode: &MetricsMode) -> bool {
    *mode == MetricsMode::Replace
}

impl Turn {
    /// What people are shown: its name, else its number.
    #[must_use]
    pub fn display_name(&self, number: u32) -> String {
        self.name.clone().unwrap_or_else(|| number.to_string())
    }
}

/// A user that a model plays, until what it wants is reached or it has spoken often enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedUser {
    /// The name of a model in `models`; `None`: the only one there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the user wants of the conversation.
    pub goal: String,
    /// Who the user is and how it behaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// How often the user speaks at most; 1 to [`MAX_SIMULATED_TURNS`].
    pub max_turns: u32,
    /// What the user says first, a template where the test is rendered; `None`: the model thinks of something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_message: Option<String>,
    /// A template over the newest answer (`output`, `turn`, `vars`, `captured`): when it holds, the user has no more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_when: Option<String>,
}

impl TestCase {
    /// Whether it takes a conversation, and so an endpoint that holds some.
    #[must_use]
    pub fn is_dialogue(&self) -> bool {
        !self.turns.is_empty() || self.simulated_user.is_some()
    }

    /// How often the user speaks: exactly where turns are written, at most where a model plays the user, and once otherwise.
    #[must_use]
    pub fn max_turns(&self) -> u32 {
        match &self.simulated_user {
            Some(user) => user.max_turns,
            None => u32::try_from(self.turns.len()).unwrap_or(u32::MAX).max(1),
        }
    }
}
