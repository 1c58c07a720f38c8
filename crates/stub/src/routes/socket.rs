//! `GET /ws`: questions and answers over a WebSocket, in pieces.
//!
//! | the caller says | the stub says |
//! |---|---|
//! | `{"type": "hello"}` | `{"type": "ready"}` |
//! | `{"type": "ask", "message": …}`, with a `conversation_id` or without | `{"type": "piece", "text": …}` for each word, then `{"type": "end", "conversation_id": …, "turn": …, "usage": …}` |
//! | anything else | `{"type": "error", "message": …}` |
//!
//! `turn` counts the questions of the connection, from 1. The query asks for trouble in the middle of an answer: `close=CODE`
//! closes the connection with it, `cut=1` without, `binary=1` sends a binary message, `hang=1` sends nothing more, `fail=1` an
//! error, and `endless=1` never comes to an end. `subprotocol=NAME` is the one it speaks, when it is offered.

use std::sync::Arc;

use axum::Extension;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{chat, count_tokens};
use crate::observation::Current;
use crate::state::Shared;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Trouble {
    close: Option<u16>,
    #[serde(default)]
    cut: u8,
    #[serde(default)]
    binary: u8,
    #[serde(default)]
    hang: u8,
    #[serde(default)]
    fail: u8,
    #[serde(default)]
    endless: u8,
    subprotocol: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Said {
    Hello,
    Ask {
        message: String,
        conversation_id: Option<String>,
    },
}

pub(super) async fn connect(
    State(shared): State<Arc<Shared>>,
    Extension(current): Extension<Current>,
    Query(trouble): Query<Trouble>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let upgrade = match trouble.subprotocol.clone() {
        Some(name) => upgrade.protocols([name]),
        None => upgrade,
    };
    upgrade.on_upgrade(async move |mut socket| {
        // An error means that the caller is gone.
        let _ = talk(&shared, &current, &trouble, &mut socket).await;
    })
}

async fn talk(
    shared: &Shared,
    current: &Current,
    trouble: &Trouble,
    socket: &mut WebSocket,
) -> Result<(), axum::Error> {
    let mut turn = 0;
    let mut known = None;
    while let Some(message) = socket.recv().await {
        let Message::Text(text) = message? else { continue };
        match serde_json::from_str::<Said>(&text) {
            Ok(Said::Hello) => say(socket, &json!({"type": "ready"})).await?,
            Ok(Said::Ask {
                message,
                conversation_id,
            }) => {
                turn += 1;
                let session = conversation_id
                    .or(known)
                    .unwrap_or_else(|| format!("conversation-{}", current.number));
                known = Some(session.clone());
                if !answer(shared, current, trouble, socket, &message).await? {
                    return Ok(());
                }
                let usage = json!({"input_tokens": count_tokens(&message)});
                let end = json!({"type": "end", "conversation_id": session, "turn": turn, "usage": usage});
                say(socket, &end).await?;
            }
            Err(error) => say(socket, &json!({"type": "error", "message": error.to_string()})).await?,
        }
    }
    Ok(())
}

/// Says the answer word by word; false when there is nothing more to be said on this connection.
async fn answer(
    shared: &Shared,
    current: &Current,
    trouble: &Trouble,
    socket: &mut WebSocket,
    question: &str,
) -> Result<bool, axum::Error> {
    let reply = match chat::reply(shared, current, question) {
        Ok(reply) => reply.text.to_owned(),
        Err(refusal) => {
            say(socket, &json!({"type": "error", "message": refusal.message})).await?;
            return Ok(true);
        }
    };
    for (at, word) in reply.split_inclusive(' ').enumerate() {
        say(socket, &json!({"type": "piece", "text": word})).await?;
        if at > 0 {
            continue;
        }
        if trouble.fail > 0 {
            say(socket, &json!({"type": "error", "message": "failed on purpose"})).await?;
        }
        if trouble.binary > 0 {
            socket.send(Message::Binary(vec![0, 1, 2].into())).await?;
        }
        if trouble.endless > 0 {
            loop {
                say(socket, &json!({"type": "piece", "text": word})).await?;
            }
        }
        if trouble.hang > 0 {
            std::future::pending::<()>().await;
        }
        if trouble.cut > 0 {
            return Ok(false);
        }
        if let Some(code) = trouble.close {
            let frame = CloseFrame {
                code,
                reason: "closed on purpose".into(),
            };
            socket.send(Message::Close(Some(frame))).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

async fn say(socket: &mut WebSocket, value: &Value) -> Result<(), axum::Error> {
    socket.send(Message::text(value.to_string())).await
}
