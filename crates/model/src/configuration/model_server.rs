//! Models that judge answers, compare meanings or play a user: servers that speak OpenAI's API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::endpoint::{Rate, Retry, Timeouts};

/// A model of an OpenAI-compatible server, under its name in `models`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelServer {
    /// Names it for limits, which hold across all runs and workers. Without one they belong to `base_url` and `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where `/chat/completions` and `/embeddings` are.
    pub base_url: String,
    /// The name of the model at its server.
    pub model: String,
    /// The key, sent as a bearer token; a template over secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Further headers; templates over secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What else goes into each request (`temperature`, `max_tokens`, `seed`, …), as it is.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Time limits of one call.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// When a call is made again.
    pub retry: Retry,
    /// What it can take, over all runs and workers.
    #[serde(default, skip_serializing_if = "ModelLimits::is_none")]
    pub limits: ModelLimits,
    /// What its tokens cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
}

impl ModelServer {
    /// The name under which limits are kept: the id, else the base URL without its query, and the model.
    #[must_use]
    pub fn key(&self) -> String {
        match &self.id {
            Some(id) => id.clone(),
            None => {
                let url = self.base_url.split(['?', '#']).next().unwrap_or_default();
                format!("{} {}", url.trim_end_matches('/'), self.model)
            }
        }
    }
}

impl ModelServer {
    /// The address of a resource below the base URL, whose query stays behind it.
    #[must_use]
    pub fn url_of(&self, path: &str) -> String {
        let (base, query) = match self.base_url.find('?') {
            Some(at) => self.base_url.split_at(at),
            None => (self.base_url.as_str(), ""),
        };
        format!("{}{path}{query}", base.trim_end_matches('/'))
    }
}

/// What a model can take, over all runs and workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelLimits {
    /// Calls in flight at any instant; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// Calls begun in a time; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

impl ModelLimits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What tokens cost, in any one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pricing {
    /// A million tokens that are sent.
    pub input_per_million: f64,
    /// A million tokens that are received.
    pub output_per_million: f64,
}

impl Pricing {
    /// What was used costs, where it is known: `input_tokens` and `output_tokens`. `None` when one of them is missing, unless
    /// what is missing costs nothing: embeddings have no output.
    #[must_use]
    pub fn cost(&self, usage: &BTreeMap<String, f64>) -> Option<f64> {
        let part = |name: &str, price: f64| match usage.get(name) {
            Some(tokens) => Some(tokens * price / 1_000_000.0),
            None if price == 0.0 => Some(0.0),
            None => None,
        };
        if usage.is_empty() {
            return None;
        }
        Some(part("input_tokens", self.input_per_million)? + part("output_tokens", self.output_per_million)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
        pairs
            .iter()
            .map(|(name, tokens)| ((*name).to_owned(), *tokens))
            .collect()
    }

    #[test]
    fn a_cost_is_known_when_everything_that_costs_is() {
        let both = Pricing {
            input_per_million: 2.0,
            output_per_million: 10.0,
        };
        let known = usage(&[("input_tokens", 500_000.0), ("output_tokens", 100_000.0)]);
        assert_eq!(both.cost(&known), Some(2.0));
        assert_eq!(both.cost(&usage(&[("input_tokens", 1.0)])), None);
        assert_eq!(both.cost(&usage(&[])), None);
        let input = Pricing {
            input_per_million: 1.0,
            output_per_million: 0.0,
        };
        assert_eq!(input.cost(&usage(&[("input_tokens", 1_000_000.0)])), Some(1.0));
    }
}
