//! `/tickets`: an API of several steps, where each needs the id and the token that the first one gave.
//!
//! All steps can be taken by `POST /tickets` with `action` and `ticket_id` in the body, so that one
//! configured endpoint does for all of them. `GET /tickets/{id}` and `POST /tickets/{id}/{action}` do the
//! same by path; there the token may also come as `X-Ticket-Token`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::read_json;
use crate::refusal::Refusal;
use crate::state::Shared;
use crate::ticket::{Step, StepError, Ticket};

#[derive(Default, Deserialize)]
struct Order {
    action: Option<String>,
    ticket_id: Option<String>,
    token: Option<String>,
    #[serde(alias = "message")]
    text: Option<String>,
}

/// `POST /tickets`. Without an action it creates a ticket.
pub(super) async fn act(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let order: Order = read_json(&body)?;
    match order.action.as_deref().unwrap_or("create") {
        "create" => create(&shared, &headers, order),
        action => {
            let id = order
                .ticket_id
                .clone()
                .ok_or_else(|| Refusal::bad_request(format!("{action} needs a ticket_id"), Some("ticket_id")))?;
            let action = action.to_owned();
            take_step(&shared, &headers, &id, &action, order)
        }
    }
}

/// `POST /tickets/{id}/{action}`; the body may be empty where the action needs no text.
pub(super) async fn act_on(
    State(shared): State<Arc<Shared>>,
    Path((id, action)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let order = if body.is_empty() {
        Order::default()
    } else {
        read_json(&body)?
    };
    take_step(&shared, &headers, &id, &action, order)
}

/// `GET /tickets/{id}`.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    take_step(&shared, &headers, &id, "get", Order::default())
}

fn create(shared: &Shared, headers: &HeaderMap, order: Order) -> Result<Response, Refusal> {
    let subject = text_of(order, "create")?;
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let ticket = shared.tickets.open(&subject, key);
    let answer = format!("Ticket {} is open. We will answer within one working day.", ticket.id);
    let body = json!({ "answer": answer, "ticket_id": ticket.id, "token": ticket.token, "ticket": ticket });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

fn take_step(
    shared: &Shared,
    headers: &HeaderMap,
    id: &str,
    action: &str,
    mut order: Order,
) -> Result<Response, Refusal> {
    let header = headers.get("x-ticket-token").and_then(|value| value.to_str().ok());
    let token = order.token.take().or_else(|| header.map(str::to_owned));
    let step = match action {
        "get" => Step::Get,
        "reply" => Step::Reply(text_of(order, "reply")?),
        "close" => Step::Close,
        "reopen" => Step::Reopen,
        _ => {
            let problem = format!("unknown action {action:?}: expected create, get, reply, close or reopen");
            return Err(Refusal::bad_request(problem, Some("action")));
        }
    };
    match shared.tickets.step(id, token.as_deref(), step) {
        Ok(ticket) => Ok(Json(json!({
            "answer": sentence(action, &ticket),
            "ticket_id": ticket.id,
            "ticket": ticket,
        }))
        .into_response()),
        Err(error) => Ok(refuse(id, error)),
    }
}

fn text_of(order: Order, action: &str) -> Result<String, Refusal> {
    order
        .text
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Refusal::bad_request(format!("{action} needs a text"), Some("text")))
}

fn sentence(action: &str, ticket: &Ticket) -> String {
    let id = &ticket.id;
    match action {
        "reply" => format!("Your reply was added to ticket {id}. It now has {}.", replies(ticket)),
        "close" => format!("Ticket {id} is closed. Thank you for your patience."),
        "reopen" => format!("Ticket {id} is open again."),
        _ => format!("Ticket {id} is {} and has {}.", ticket.status.word(), replies(ticket)),
    }
}

fn replies(ticket: &Ticket) -> String {
    match ticket.replies.len() {
        0 => "no replies".to_owned(),
        1 => "1 reply".to_owned(),
        count => format!("{count} replies"),
    }
}

/// Conflicts also carry an answer, since a caller may be testing for them.
fn refuse(id: &str, error: StepError) -> Response {
    match error {
        StepError::Unknown => {
            let message = format!("there is no ticket {id:?}");
            Refusal::new(StatusCode::NOT_FOUND, "not_found_error", message).into_response()
        }
        StepError::WrongToken => {
            let message = format!("the token of ticket {id:?} is missing or wrong");
            Refusal::new(StatusCode::FORBIDDEN, "permission_error", message).into_response()
        }
        StepError::Conflict(status) => {
            let answer = format!("Ticket {id} is {}, so this cannot be done.", status.word());
            let body = json!({ "answer": answer, "ticket_id": id, "error": { "message": answer, "type": "conflict_error", "param": null, "code": 409 } });
            (StatusCode::CONFLICT, Json(body)).into_response()
        }
    }
}
