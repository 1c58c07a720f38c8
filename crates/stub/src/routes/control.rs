//! `/_stub/…`: how the stub behaves, and what it has seen.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::read_json;
use crate::behaviour::Behaviour;
use crate::limit::StubLimits;
use crate::refusal::Refusal;
use crate::state::Shared;
use crate::stats::Stats;

pub(super) async fn behaviour(State(shared): State<Arc<Shared>>) -> Json<Behaviour> {
    Json(Behaviour::clone(&shared.behaviour()))
}

/// Replaces the whole behaviour; keys left out go back to their defaults.
pub(super) async fn set_behaviour(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Behaviour>, Refusal> {
    let behaviour: Behaviour = read_json(&body)?;
    shared
        .set_behaviour(behaviour.clone())
        .map_err(|error| Refusal::bad_request(error.to_string(), Some(error.key)))?;
    Ok(Json(behaviour))
}

/// Replaces the limits alone, whatever else goes on; keys left out go back to their defaults.
pub(super) async fn set_limits(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<StubLimits>, Refusal> {
    let limits: StubLimits = read_json(&body)?;
    shared
        .set_limits(limits)
        .map_err(|error| Refusal::bad_request(error.to_string(), Some(error.key)))?;
    Ok(Json(limits))
}

/// Which calls are wanted; all by default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    run: Option<String>,
    test: Option<String>,
}

pub(super) async fn calls(State(shared): State<Arc<Shared>>, Query(filter): Query<Filter>) -> Json<Value> {
    let calls = shared.calls.calls(|call| {
        let wanted = |wish: &Option<String>, found: &Option<String>| wish.is_none() || wish == found;
        wanted(&filter.run, &call.identity.run) && wanted(&filter.test, &call.identity.test)
    });
    let dropped = shared.calls.dropped();
    Json(json!({ "dropped": dropped, "calls": calls }))
}

pub(super) async fn clear_calls(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.calls.clear();
    StatusCode::NO_CONTENT
}

pub(super) async fn stats(State(shared): State<Arc<Shared>>) -> Json<Stats> {
    Json(shared.calls.stats())
}
