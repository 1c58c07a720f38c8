//! The test configuration: what a backend stores and a person writes.
//!
//! The structs here are the *canonical* document: every default filled in, aliases resolved, durations as
//! text with units. They serialise to the JSON that is stored in Redis and read back with serde. What
//! people write (YAML, JSON, TOML, with aliases and omissions) becomes these structs in [`reading`],
//! which reports every problem with file, line and key.

mod attributes;
mod connection;
mod conversation;
mod dialogue;
mod endpoint;
mod filter;
mod gate;
mod metric;
mod model_server;
pub mod reading;
mod schema;
mod shape;
mod stored_test;
mod test_case;
mod web_socket;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use attributes::{Attributes, Budget, DEFAULT_TENANT, Group, Order, Priority, RepeatPolicy};
pub use connection::{Http2, Tls};
pub use conversation::{Conversation, ConversationMode, ID_FIELDS, IdFrom, Takeover};
pub use dialogue::{DEFAULT_TURNS, MAX_SIMULATED_TURNS, MAX_TURNS, SimulatedUser, Turn};
pub use endpoint::{
    Adaptive, ApiKeyPlace, Auth, Backoff, Breaker, ClientAuth, Endpoint, EndpointKind, Limits, MAX_REDIRECTS, Rate,
    ResponseFormat, ResponseMap, ResponseSpec, Retry, RetryAfter, RetryOn, StatusRange, StreamSpec, Success, Timeouts,
};
pub use filter::{InvalidFilter, PastStatus, PastStatuses, Pattern, TestFilter};
pub use gate::{Baseline, ComparisonRules, FailOn, GateRule, MAX_GATES};
pub use metric::{Aggregate, JudgePrompt, Metric, MetricKind, OnError, Operator, Severity};
pub use model_server::{ModelLimits, ModelServer, Pricing};
pub use schema::configuration_schema;
pub use shape::{MAX_DEPENDENCIES, RunShape, Shape, ShapeProblem, TestNeeds};
pub use stored_test::StoredTestError;
pub use test_case::{
    Columns, MAX_REPEAT, Message, MetricsMode, Repetition, Source, SourceFormat, TestCase, TestDefaults, TestSet,
};
pub use web_socket::WebSocketSpec;

/// The version of the document format this crate reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// One configuration: an endpoint, a test set, metrics, and how to run them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestConfiguration {
    /// Always [`FORMAT_VERSION`].
    pub version: u32,
    /// What people call it; appears in reports and in the subject of the mail.
    pub name: String,
    /// More words about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The project it belongs to, for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The e-mail address of its owner, who gets the summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// For filters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Anything the backend wants to find again.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The secrets that templates may use; only names, never values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretSpec>,
    /// Models that judge answers, compare meanings or play a user, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, ModelServer>,
    /// What is under test. A document that evaluates stored outputs may leave it out ([`Endpoint::absent`]).
    #[serde(default = "Endpoint::absent", skip_serializing_if = "Endpoint::is_absent")]
    pub endpoint: Endpoint,
    /// The tests.
    pub test_set: TestSet,
    /// Metrics for every test, in addition to its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// How to run.
    #[serde(default)]
    pub attributes: Attributes,
    /// What has to hold of the run as a whole; at most [`MAX_GATES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRule>,
    /// What the run is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Files that `testfleet run` writes at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
    /// Who is told, in addition to the owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
}

/// Where runs wait that evaluate stored outputs: the place of an endpoint that nobody calls. It has no limits unless an
/// operator sets some.
pub const REEVALUATION: &str = "reevaluation";

impl TestConfiguration {
    /// The name under which limits are kept, and those that a run brings with it: those of the endpoint, or none at
    /// [`REEVALUATION`] where nothing is called.
    #[must_use]
    pub fn limited_at(&self) -> (String, Limits) {
        if self.attributes.reference_test_run_id.is_none() {
            return (self.endpoint.key(), self.endpoint.limits.clone());
        }
        let none = Limits {
            adaptive: Adaptive {
                enabled: false,
                ..Adaptive::default()
            },
            ..Limits::default()
        };
        (REEVALUATION.to_owned(), none)
    }

    /// How often tests whose error may be transient are tried once more when the rest is done. Whoever allows a test one
    /// attempt does not want it to be called twice, unless he says so.
    #[must_use]
    pub fn recovery_rounds(&self) -> u32 {
        let default = u32::from(self.endpoint.retry.max_attempts > 1);
        self.attributes.recovery_rounds.unwrap_or(default)
    }

    /// The owner and everybody named, each address once, in that order.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let named = self.notifications.iter().flat_map(|notification| match notification {
            Notification::Email { to } => to.iter(),
        });
        for address in self.owner.iter().chain(named) {
            if !all.iter().any(|known| known.eq_ignore_ascii_case(address)) {
                all.push(address.clone());
            }
        }
        all
    }
}

/// A secret by reference. The value is resolved at the worker and never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSpec {
    /// Whether a test that uses it is in error when it has no value. An optional one renders as undefined.
    pub required: bool,
    /// Where the value comes from: `env:NAME` or `file:PATH`. `None` means the environment variable of the
    /// secret's own name, else the file that the variable `<NAME>_FILE` points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A file that is written when the run has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The format.
    pub format: ReportFormat,
    /// Where to write it, relative to the working directory.
    pub path: String,
}

/// Formats of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportFormat {
    /// One JSON document with summary and results.
    Json,
    /// One result a line.
    Jsonl,
    /// JUnit XML.
    Junit,
    /// The text that `testfleet run` prints.
    Text,
}

/// Whom to tell that a run has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Notification {
    /// The summary by e-mail.
    Email {
        /// Addresses.
        to: Vec<String>,
    },
}
