//! `ANY /echo`: the request as it was received, so that tests can look at what was sent.

use std::net::SocketAddr;

use axum::Json;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, Method, Uri, Version};
use serde_json::{Map, Value, json};

/// Method, path, query, headers and body; the version of HTTP it came by, and the caller's address, which is the same for calls
/// over one connection. A header that came several times is a list; `json` is the body
/// where it is JSON, else null.
pub(super) async fn echo(
    method: Method,
    uri: Uri,
    version: Version,
    extensions: Extensions,
    headers: HeaderMap,
    body: Bytes,
) -> Json<Value> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    Json(json!({
        "version": format!("{version:?}"),
        "peer": peer.map(|ConnectInfo(address)| address.to_string()),
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "headers": list(&headers),
        "body": String::from_utf8_lossy(&body),
        "json": serde_json::from_slice::<Value>(&body).ok(),
    }))
}

fn list(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .keys()
        .map(|name| {
            let mut values: Vec<Value> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
                .collect();
            let value = if values.len() == 1 {
                values.remove(0)
            } else {
                values.into()
            };
            (name.as_str().to_owned(), value)
        })
        .collect()
}
