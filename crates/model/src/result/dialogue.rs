//! What became of a dialogue, turn by turn.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ErrorDetail, MetricResult, TestResult};
use crate::state::Status;

/// One turn of a dialogue: what the user said, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnResult {
    /// From 1.
    pub number: u32,
    /// What the configuration calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the user said; of a turn that was not taken, what is written for it.
    pub input: String,
    /// Whether the answer passed the turn's metrics; one that has none passes when it is answered. `NotRun` after a turn that
    /// ended the dialogue.
    pub status: Status,
    /// The mapped answer; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// One entry per metric of the turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricResult>,
    /// The attempt of the test that took it, from 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub attempt: u32,
    /// From the claim of the test's first attempt to where the metrics of the turn began, in milliseconds; absent when it was not
    /// answered, and in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_time_ms: Option<f64>,
    /// The HTTP status of the call; absent when it did not succeed, and in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Those headers of the response that `header` metrics of the turn name, as in [`TestResult::headers`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Option<String>>,
    /// The call, in milliseconds; absent when it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke_time_ms: Option<f64>,
    /// From sending the call to the first piece of text of its stream, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Tokens used, where the endpoint said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usage: BTreeMap<String, f64>,
    /// What the call cost, where the endpoint said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Why the answer ended, where the endpoint said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The tools that the answer calls, as mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Value>,
    /// The documents that the answer was made from, as mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    /// What else of the answer was to be kept, as mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Why the turn is in error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDetail>,
    /// What of it was cut or left out to keep the result under its size cap (`input`, `output`, …).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cut: BTreeSet<String>,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

impl TurnResult {
    /// A turn of which nothing is known but what is said in it.
    #[must_use]
    pub fn new(number: u32, name: Option<String>, input: impl Into<String>, status: Status) -> Self {
        Self {
            number,
            name,
            input: input.into(),
            status,
            output: None,
            metrics: Vec::new(),
            attempt: 1,
            total_time_ms: None,
            http_status: None,
            headers: BTreeMap::new(),
            invoke_time_ms: None,
            ttft_ms: None,
            usage: BTreeMap::new(),
            cost: None,
            finish_reason: None,
            tool_calls: None,
            context: None,
            metadata: None,
            error: None,
            cut: BTreeSet::new(),
        }
    }

    /// What people are shown: `turn 3`, or `turn 3 (name)`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("turn {} ({name})", self.number),
            None => format!("turn {}", self.number),
        }
    }
}

/// What there is to know of a dialogue as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DialogueRecord {
    /// How often it went on after it had been cut off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resumed: u32,
    /// The turn at which it went on last, from 1; absent when it was led in one go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at_turn: Option<u32>,
    /// Whether the simulated user reached its goal; absent when nobody was simulated, and when the dialogue ended in error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal_reached: Option<bool>,
    /// Why the model that plays the user thinks so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Tokens that the model took which played the user.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub user_usage: BTreeMap<String, f64>,
    /// What that cost, where prices are known; in the currency of the models' `pricing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_cost: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl TestResult {
    /// All metrics, those of turns first, each with the turn that it belongs to.
    pub fn all_metrics(&self) -> impl Iterator<Item = (Option<&TurnResult>, &MetricResult)> {
        let turns = self
            .turns
            .iter()
            .flat_map(|turn| turn.metrics.iter().map(move |metric| (Some(turn), metric)));
        turns.chain(self.metrics.iter().map(|metric| (None, metric)))
    }

    /// The first turn that did not pass; `None` when all did, or there are none.
    #[must_use]
    pub fn failed_turn(&self) -> Option<&TurnResult> {
        self.turns.iter().find(|turn| turn.status != Status::Pass)
    }
}
