//! Limits of endpoints, tenants and the fleet: what runs bring, and what operators set, hold and release.

use std::time::Duration;

use testfleet_model::configuration::{Adaptive, Breaker, Limits, Rate};

use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::submission::millis;

/// The burst of a rate of calls that does not name one: what comes in this time.
const DEFAULT_BURST: Duration = Duration::from_millis(10);

/// What an operator does about one limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Setting<T> {
    /// Leaves it as it is.
    #[default]
    Keep,
    /// It holds over what runs bring, until it is cleared.
    Set(T),
    /// No such limit, whatever runs bring, until it is cleared.
    Lift,
    /// As runs bring it.
    Clear,
}

/// What an operator sets of an endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointSettings {
    /// Calls in flight.
    pub max_concurrency: Setting<u32>,
    /// Calls begun in a time.
    pub rate: Setting<Rate>,
    /// Tokens used in a time.
    pub tokens: Setting<Rate>,
    /// Whether and how it adapts. [`Setting::Lift`] switches it off.
    pub adaptive: Setting<Adaptive>,
    /// When it is taken for down.
    pub breaker: Setting<Breaker>,
}

/// In which order the runs of a tenant are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FleetOrder {
    /// Each gets its share of time.
    #[default]
    Fair,
    /// Those that were started first are finished first.
    FinishFirst,
}

impl FleetOrder {
    /// As it is stored and typed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fair => "fair",
            Self::FinishFirst => "finish-first",
        }
    }
}

/// What an operator sets of the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetSettings {
    /// Tests in flight in all; `Some(None)` lifts the limit.
    pub max_concurrency: Option<Option<u32>>,
    /// The order of a tenant's runs.
    pub order: Option<FleetOrder>,
}

/// Until when an endpoint is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldUntil {
    /// For this long.
    After(Duration),
    /// Until somebody releases it.
    Released,
}

impl Store {
    /// Sets limits of an endpoint over those that runs bring. They apply at once, to raised and lowered limits alike; what is
    /// in flight ends as usual.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn set_endpoint(&self, endpoint: &str, settings: &EndpointSettings) -> Result<(), StoreError> {
        let mut pairs = Vec::new();
        let mut add = |name: &'static str, value: Option<String>| {
            if let Some(value) = value {
                pairs.push((name, value));
            }
        };
        add(
            "max_concurrency",
            word_of(&settings.max_concurrency, "none", u32::to_string),
        );
        add(
            "rate",
            word_of(&settings.rate, "none", |rate| rate_text(rate, call_burst(rate))),
        );
        add(
            "tokens",
            word_of(&settings.tokens, "none", |rate| {
                rate_text(rate, rate.burst.unwrap_or(rate.count))
            }),
        );
        add("adaptive", word_of(&settings.adaptive, "off", adaptive_text));
        add("breaker", word_of(&settings.breaker, "none", breaker_text));
        let mut answer = self
            .run(&script::SET_ENDPOINT, |command| {
                command.arg(endpoint);
                for (name, value) in &pairs {
                    command.arg(*name).arg(value);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "set" => Ok(()),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Begins no test of an endpoint until a time or until it is released. `reason` is shown to whoever asks why a test waits.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe, and begins the time anew.
    pub async fn hold_endpoint(&self, endpoint: &str, until: HoldUntil, reason: &str) -> Result<(), StoreError> {
        let ms = match until {
            HoldUntil::After(time) => millis(time).to_string(),
            HoldUntil::Released => "-1".to_owned(),
        };
        let mut answer = self
            .run(&script::HOLD_ENDPOINT, |command| {
                command.arg(endpoint).arg(&ms).arg(reason);
            })
            .await?;
        match answer.text()?.as_str() {
            "held" => Ok(()),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Ends whatever holds an endpoint: an operator's hold, a `Retry-After`, an open breaker. Answers whether anything did.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn release_endpoint(&self, endpoint: &str) -> Result<bool, StoreError> {
        let mut answer = self
            .run(&script::RELEASE_ENDPOINT, |command| {
                command.arg(endpoint);
            })
            .await?;
        match answer.text()?.as_str() {
            "released" => Ok(true),
            "not_held" => Ok(false),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Sets what holds for the whole fleet.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn set_fleet(&self, settings: FleetSettings) -> Result<(), StoreError> {
        let mut answer = self
            .run(&script::SET_FLEET, |command| {
                if let Some(most) = settings.max_concurrency {
                    let most = most.map(|most| most.to_string()).unwrap_or_default();
                    command.arg("max_concurrency").arg(most);
                }
                if let Some(order) = settings.order {
                    command.arg("order").arg(order.word());
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "set" => Ok(()),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Sets the weight by which a tenant shares endpoints with others: above 0; `None` is 1 again.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn set_tenant(&self, tenant: &str, weight: Option<f64>) -> Result<(), StoreError> {
        let weight = weight.map(|weight| weight.to_string()).unwrap_or_default();
        let mut answer = self
            .run(&script::SET_TENANT, |command| {
                command.arg(tenant).arg(&weight);
            })
            .await?;
        match answer.text()?.as_str() {
            "set" => Ok(()),
            other => Err(answer.unknown_word(other)),
        }
    }
}

/// Limits as scripts take them: name, value pairs.
pub(crate) fn limit_pairs(limits: &Limits) -> Vec<(&'static str, String)> {
    let mut pairs = Vec::new();
    if let Some(most) = limits.max_concurrency {
        pairs.push(("max_concurrency", most.to_string()));
    }
    if let Some(rate) = &limits.rate {
        pairs.push(("rate", rate_text(rate, call_burst(rate))));
    }
    if let Some(rate) = &limits.tokens {
        pairs.push(("tokens", rate_text(rate, rate.burst.unwrap_or(rate.count))));
    }
    if limits.adaptive != Adaptive::default() {
        pairs.push(("adaptive", adaptive_text(&limits.adaptive)));
    }
    if let Some(breaker) = &limits.breaker {
        pairs.push(("breaker", breaker_text(breaker)));
    }
    pairs
}

fn word_of<T>(setting: &Setting<T>, lifted: &str, text: impl Fn(&T) -> String) -> Option<String> {
    match setting {
        Setting::Keep => None,
        Setting::Set(value) => Some(text(value)),
        Setting::Lift => Some(lifted.to_owned()),
        Setting::Clear => Some(String::new()),
    }
}

/// `count/per_ms/burst`
fn rate_text(rate: &Rate, burst: u64) -> String {
    format!("{}/{}/{}", rate.count.max(1), millis(rate.per).max(1), burst.max(1))
}

/// The burst of a rate of calls.
pub(crate) fn call_burst(rate: &Rate) -> u64 {
    let per = u128::from(millis(rate.per).max(1));
    let default = u128::from(rate.count) * DEFAULT_BURST.as_millis() / per;
    rate.burst
        .unwrap_or_else(|| u64::try_from(default).unwrap_or(u64::MAX).max(1))
}

/// `min/start`, without a start `min/`, or `off`
fn adaptive_text(adaptive: &Adaptive) -> String {
    if !adaptive.enabled {
        return "off".to_owned();
    }
    let start = adaptive.start.map(|start| start.to_string()).unwrap_or_default();
    format!("{}/{start}", adaptive.min.max(1))
}

/// `failures/cool_down_ms`
fn breaker_text(breaker: &Breaker) -> String {
    format!("{}/{}", breaker.failures.max(1), millis(breaker.cool_down).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u64, per: Duration) -> Rate {
        Rate {
            count,
            per,
            burst: None,
        }
    }

    #[test]
    fn a_rate_without_a_burst_allows_what_comes_in_ten_milliseconds() {
        for (count, per, burst) in [
            (50, Duration::from_secs(1), 1),
            (1_000, Duration::from_secs(1), 10),
            (300, Duration::from_secs(60), 1),
        ] {
            assert_eq!(call_burst(&rate(count, per)), burst, "{count} per {per:?}");
        }
        let named = Rate {
            burst: Some(7),
            ..rate(50, Duration::from_secs(1))
        };
        assert_eq!(rate_text(&named, call_burst(&named)), "50/1000/7");
    }

    #[test]
    fn only_what_differs_from_the_default_is_sent() {
        assert_eq!(limit_pairs(&Limits::default()), []);
        let limits = Limits {
            max_concurrency: Some(8),
            rate: Some(rate(50, Duration::from_secs(1))),
            tokens: Some(rate(90_000, Duration::from_secs(60))),
            adaptive: Adaptive {
                enabled: true,
                min: 2,
                start: Some(4),
            },
            breaker: Some(Breaker {
                failures: 5,
                cool_down: Duration::from_secs(1),
            }),
        };
        let pairs: Vec<String> = limit_pairs(&limits)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            pairs,
            [
                "max_concurrency=8",
                "rate=50/1000/1",
                "tokens=90000/60000/90000",
                "adaptive=2/4",
                "breaker=5/1000"
            ]
        );
    }
}
