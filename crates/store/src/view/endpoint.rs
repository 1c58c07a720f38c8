//! Endpoints as operators see them: what they admit now, by which limit, and how that came about.

use std::collections::BTreeMap;

use deadpool_redis::redis::{Value, cmd, pipe};
use serde::Serialize;
use testfleet_model::configuration::Rate;

use super::limit::{self, AdaptiveView, BreakerView, Facts, Limit, Limited};
use super::reading::read_sound;
use crate::answer::Answer;
use crate::error::StoreError;
use crate::link::Store;
use crate::script;

/// Endpoints that one call looks at.
const LOOK_LIMIT: usize = 100;
/// From this on a number of tests means that nothing limits them; as in `lua/lib/admission.lua`.
const UNBOUNDED: u64 = 1_000_000_000;
/// The most tenants of an endpoint that are shown.
const TENANT_LIMIT: usize = 256;

/// How much more an endpoint takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Tests that may begin now; `None` means that no limit holds.
    pub tests: Option<u64>,
    /// The limit that leaves the fewest; `None` when none holds.
    pub limit: Option<Limit>,
    /// When time alone makes room, ms since 1970; `None` when there is room, or when it comes with the end of a call or with an
    /// operator.
    pub until_ms: Option<i64>,
}

impl Room {
    pub(crate) fn of(facts: &Facts) -> Self {
        let tests = limit::number::<f64>(facts, "room").unwrap_or(0.0).max(0.0) as u64;
        let limited = tests < UNBOUNDED;
        Self {
            tests: limited.then_some(tests),
            limit: facts
                .get("limited_by")
                .and_then(|word| Limit::from_word(word))
                .filter(|_| limited),
            until_ms: limit::time(facts, "room_at"),
        }
    }

    /// Whether a test may begin now.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.tests != Some(0)
    }
}

/// An operator's hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HoldView {
    /// Until when, ms since 1970; `None`: until it is released.
    pub until_ms: Option<i64>,
    /// Why; may be empty.
    pub reason: String,
}

/// An endpoint as operators see it. Times are milliseconds since 1970 by the server's clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointView {
    /// The name its limits are kept under.
    pub endpoint: String,
    /// Whether its keys are of wrong types, so that nothing else of it is known; `testfleet doctor` says more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// What it takes now.
    pub room: Room,
    /// Calls in flight: tests that have a slot.
    pub in_flight: u32,
    /// Calls that may go on although the right to them is over; they count as in flight.
    pub lingering: u32,
    /// Runs with tests that could be claimed.
    pub waiting_runs: u64,
    /// Calls in flight at any instant; `None` means no limit.
    pub max_concurrency: Option<u32>,
    /// The same, with where it comes from.
    pub concurrency: Limited<u32>,
    /// Calls begun in a time.
    pub rate: Limited<Rate>,
    /// How many of those may begin at once now.
    pub rate_left: Option<u64>,
    /// Tokens used in a time.
    pub tokens: Limited<Rate>,
    /// What is left of them now; below zero when more were used than there were.
    pub tokens_left: Option<i64>,
    /// Tokens that a call uses on average; `None` until responses have said so.
    pub tokens_per_call: Option<f64>,
    /// How the number of calls follows what the endpoint can take.
    pub adaptive: AdaptiveView,
    /// An operator's hold.
    pub hold: Option<HoldView>,
    /// Until when it asked everybody to wait.
    pub retry_after_until_ms: Option<i64>,
    /// Whether it is taken for down.
    pub breaker: BreakerView,
    /// How long a test takes on average, from its claim to its end, in ms.
    pub mean_ms: Option<f64>,
}

/// An endpoint with who waits for it and what has changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointDetail {
    /// What holds now.
    #[serde(flatten)]
    pub endpoint: EndpointView,
    /// Who waits, next one first; at most 256.
    pub tenants: Vec<TenantLine>,
    /// How limits changed, newest first; at most 100.
    pub history: Vec<Change>,
}

/// A tenant that waits at an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TenantLine {
    /// The tenant.
    pub tenant: String,
    /// Its weight.
    pub weight: f64,
    /// Its place in the fair order; lower is sooner.
    pub virtual_time: f64,
    /// Runs of it that wait there.
    pub waiting_runs: u64,
}

/// One change of an endpoint's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// The adaptive limit afterwards, where it matters.
    pub limit: Option<String>,
    /// What happened: `decreased`, `probing`, `held`, `breaker`, `set`, `hold`, `released`.
    pub what: String,
    /// More of it, for people.
    pub detail: String,
}

impl Change {
    /// `ms|limit|word|detail`
    fn read(entry: &str) -> Option<Self> {
        let mut parts = entry.splitn(4, '|');
        Some(Self {
            at_ms: parts.next()?.parse().ok()?,
            limit: parts.next().filter(|limit| !limit.is_empty()).map(ToOwned::to_owned),
            what: parts.next()?.to_owned(),
            detail: parts.next().unwrap_or_default().to_owned(),
        })
    }
}

impl EndpointView {
    fn of(endpoint: String, facts: &Facts, now: i64) -> Self {
        let held = facts.get("hold_until").map(String::as_str);
        let until_ms = limit::time(facts, "hold_until");
        let hold = match (held, until_ms) {
            (Some("-1"), _) => Some(None),
            (_, Some(until)) if until > now => Some(Some(until)),
            _ => None,
        };
        let concurrency = limit::max_concurrency(facts);
        Self {
            damaged: facts.contains_key("damaged"),
            room: Room::of(facts),
            in_flight: limit::number(facts, "in_flight").unwrap_or(0),
            lingering: limit::number(facts, "lingering").unwrap_or(0),
            waiting_runs: limit::number(facts, "waiting").unwrap_or(0),
            max_concurrency: concurrency.value,
            concurrency,
            rate: limit::rate(facts, "rate"),
            rate_left: limit::number(facts, "rate_left"),
            tokens: limit::rate(facts, "tokens"),
            tokens_left: limit::number(facts, "tokens_left"),
            tokens_per_call: limit::number(facts, "token_mean"),
            adaptive: limit::adaptive(facts),
            hold: hold.map(|until_ms| HoldView {
                until_ms,
                reason: facts.get("hold_reason").cloned().unwrap_or_default(),
            }),
            retry_after_until_ms: limit::time(facts, "retry_until").filter(|until| *until > now),
            breaker: limit::breaker(facts, now),
            mean_ms: limit::number(facts, "cost_ms"),
            endpoint,
        }
    }
}

impl Store {
    /// The names of endpoints that a run has used or that somebody has set something for.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn endpoint_names(&self) -> Result<Vec<String>, StoreError> {
        let mut command = cmd("ZRANGE");
        command.arg(self.keys().shard("endpoints")).arg(0).arg(-1);
        self.query("ZRANGE", &command).await
    }

    /// Every endpoint that a run has used or that somebody has set something for.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn endpoint_views(&self) -> Result<Vec<EndpointView>, StoreError> {
        let names = self.endpoint_names().await?;
        self.look_endpoint(names).await
    }

    /// One endpoint with who waits and what has changed; `None` when no run has used it and nobody has set anything for it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn endpoint_detail(&self, endpoint: &str) -> Result<Option<EndpointDetail>, StoreError> {
        let keys = self.keys();
        let mut pipeline = pipe();
        pipeline.cmd("ZSCORE").arg(keys.shard("endpoints")).arg(endpoint);
        pipeline
            .cmd("ZRANGE")
            .arg(keys.endpoint_part(endpoint, "tenants"))
            .arg(0)
            .arg(TENANT_LIMIT as i64 - 1)
            .arg("WITHSCORES");
        pipeline
            .cmd("LRANGE")
            .arg(keys.endpoint_part(endpoint, "history"))
            .arg(0)
            .arg(-1);
        let mut rows = self
            .query_all::<Vec<Value>>("ZRANGE", pipeline.ignore_errors())
            .await?
            .into_iter();
        let known: Option<f64> = read_sound("ZSCORE", rows.next())?;
        if known.is_none() {
            return Ok(None);
        }
        let tenants: Vec<(String, f64)> = read_sound("ZRANGE", rows.next())?;
        let history: Vec<String> = read_sound("LRANGE", rows.next())?;
        let mut views = self.look_endpoint(vec![endpoint.to_owned()]).await?;
        let Some(view) = views.pop() else {
            return Ok(None);
        };
        Ok(Some(EndpointDetail {
            endpoint: view,
            tenants: self.tenant_lines(endpoint, tenants).await?,
            history: history.iter().filter_map(|entry| Change::read(entry)).collect(),
        }))
    }

    async fn tenant_lines(&self, endpoint: &str, tenants: Vec<(String, f64)>) -> Result<Vec<TenantLine>, StoreError> {
        let keys = self.keys();
        let mut pipeline = pipe();
        for (tenant, _) in &tenants {
            let waiting = keys.endpoint_part(endpoint, &format!("{tenant}:waiting"));
            pipeline.cmd("ZCARD").arg(waiting);
            pipeline.cmd("HGET").arg(keys.shard("tenants")).arg(tenant);
        }
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = self
            .query_all::<Vec<Value>>("ZCARD", pipeline.ignore_errors())
            .await?
            .into_iter();
        let mut lines = Vec::with_capacity(tenants.len());
        for (tenant, virtual_time) in tenants {
            let waiting_runs = read_sound("ZCARD", rows.next())?;
            let weight: Option<String> = read_sound("HGET", rows.next())?;
            lines.push(TenantLine {
                tenant,
                weight: weight.and_then(|weight| weight.parse().ok()).unwrap_or(1.0),
                virtual_time,
                waiting_runs,
            });
        }
        Ok(lines)
    }

    /// What these endpoints admit now, in their order.
    pub(crate) async fn look_endpoint(&self, names: Vec<String>) -> Result<Vec<EndpointView>, StoreError> {
        let mut views = Vec::with_capacity(names.len());
        let now = self.now_ms().await?;
        for chunk in names.chunks(LOOK_LIMIT) {
            let mut answer = self
                .run(&script::LOOK_ENDPOINT, |command| {
                    command.arg(chunk);
                })
                .await?;
            match answer.text()?.as_str() {
                "facts" => {}
                other => return Err(answer.unknown_word(other)),
            }
            for endpoint in chunk {
                let facts = facts(&mut answer.array()?)?;
                views.push(EndpointView::of(endpoint.clone(), &facts, now));
            }
        }
        Ok(views)
    }
}

/// The name, value pairs that are left of an answer.
pub(crate) fn facts(answer: &mut Answer) -> Result<Facts, StoreError> {
    let mut facts = BTreeMap::new();
    while !answer.is_empty() {
        facts.insert(answer.text()?, answer.lossy()?);
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_with_whatever_its_detail_holds() {
        let change = Change::read("7|3.5|decreased|refused at 4|5").unwrap();
        assert_eq!((change.at_ms, change.limit.as_deref()), (7, Some("3.5")));
        assert_eq!(
            (change.what.as_str(), change.detail.as_str()),
            ("decreased", "refused at 4|5")
        );
        assert_eq!(Change::read("7||hold|").unwrap().limit, None);
        for damaged in ["", "x|1|hold|", "7"] {
            assert_eq!(Change::read(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn room_without_a_limit_is_no_number() {
        let facts = |room: &str| {
            Facts::from([
                ("room".to_owned(), room.to_owned()),
                ("limited_by".to_owned(), "rate".to_owned()),
            ])
        };
        let room = Room::of(&facts("1000000000"));
        assert_eq!((room.tests, room.limit, room.is_there()), (None, None, true));
        let room = Room::of(&facts("0"));
        assert_eq!(
            (room.tests, room.limit, room.is_there()),
            (Some(0), Some(Limit::Rate), false)
        );
    }
}
