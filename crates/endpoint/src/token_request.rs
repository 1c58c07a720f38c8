//! Asks a token endpoint for an access token with the client's own credentials (RFC 6749, section 4.4).

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Request, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use testfleet_model::configuration::{ClientAuth, Timeouts};
use testfleet_model::result::ErrorClass;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use crate::call::Failure;
use crate::client::{self, Clients};
use crate::patience::{Patience, Pause};
use crate::redaction::{PLACEHOLDER, Redactor};
use crate::retry;
use crate::token::{Key, NoToken, Token};

/// The largest answer of a token endpoint, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// What an error shows of an answer that says nothing in the form of RFC 6749, in bytes.
const SHOWN: usize = 300;

/// What a token is asked for with, rendered.
#[derive(Clone)]
pub(crate) struct TokenRequest {
    pub(crate) url: Url,
    pub(crate) client_id: String,
    pub(crate) client_secret: SecretString,
    pub(crate) scopes: Vec<String>,
    pub(crate) audience: Option<String>,
    pub(crate) client_auth: ClientAuth,
}

impl TokenRequest {
    /// The same for requests that would get the same token.
    pub(crate) fn key(&self) -> Key {
        let mut digest = Sha256::new();
        let parts = [self.url.as_str(), &self.client_id, self.client_secret.expose_secret()];
        let parts = parts.into_iter().chain(self.scopes.iter().map(String::as_str));
        for part in parts.chain(self.audience.as_deref()) {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.update([u8::from(self.audience.is_some()), self.client_auth as u8]);
        digest.finalize().into()
    }

    /// Makes the request, within the time-outs of a call.
    pub(crate) async fn send(
        &self,
        clients: &Clients,
        timeouts: &Timeouts,
        now: DateTime<Utc>,
    ) -> Result<Token, NoToken> {
        let asked = Instant::now();
        let answered = self.exchange(clients, timeouts).await;
        let (status, headers, body) = answered.map_err(|failure| self.unanswered(failure))?;
        let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            return Err(self.refused(status, &headers, &parsed, &body, now));
        }
        let (value, life) = read(&parsed).map_err(|what| {
            let message = format!("{status}, but {what}");
            self.none(ErrorClass::Token, false, &message)
        })?;
        Ok(Token::new(value, asked, life))
    }

    async fn exchange(
        &self,
        clients: &Clients,
        timeouts: &Timeouts,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), Failure> {
        let mut patience = Patience::new(timeouts.attempt);
        let failed = |error| client::failure(error, timeouts.connect);
        let begin = Pause::FirstByte(timeouts.first_byte);
        let client = patience.wait(begin, clients.of(&self.url)).await??;
        let mut response: Response = patience
            .wait(begin, client.execute(self.request()))
            .await?
            .map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = patience
            .wait(Pause::Idle(timeouts.idle), response.chunk())
            .await?
            .map_err(failed)?
        {
            if body.len() + chunk.len() > MAX_BODY {
                let message = format!("its answer is larger than {MAX_BODY} bytes");
                return Err(Failure::new(ErrorClass::TooLarge, message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status(), std::mem::take(response.headers_mut()), body))
    }

    fn request(&self) -> Request {
        let mut request = Request::new(reqwest::Method::POST, self.url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.append_pair("grant_type", "client_credentials");
        match self.client_auth {
            ClientAuth::Basic => {
                // Base64 is always a header's value.
                if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {}", self.pair())) {
                    value.set_sensitive(true);
                    headers.insert(AUTHORIZATION, value);
                }
            }
            ClientAuth::Body => {
                body.append_pair("client_id", &self.client_id);
                body.append_pair("client_secret", self.client_secret.expose_secret());
            }
        }
        if !self.scopes.is_empty() {
            body.append_pair("scope", &self.scopes.join(" "));
        }
        if let Some(audience) = &self.audience {
            body.append_pair("audience", audience);
        }
        *request.body_mut() = Some(body.finish().into());
        request
    }

    /// Name and password are encoded before they are joined (RFC 6749, section 2.3.1).
    fn pair(&self) -> String {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let secret = encoded(self.client_secret.expose_secret());
        STANDARD.encode(format!("{}:{secret}", encoded(&self.client_id)))
    }

    /// Nothing came, or not all of it.
    fn unanswered(&self, failure: Failure) -> NoToken {
        let message = failure.detail.message;
        match failure.detail.class {
            class @ (ErrorClass::Egress | ErrorClass::Internal) => self.none(class, false, &message),
            ErrorClass::Connect | ErrorClass::Timeout | ErrorClass::Protocol => {
                self.none(ErrorClass::Token, true, &message)
            }
            _ => self.none(ErrorClass::Token, false, &message),
        }
    }

    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        parsed: &Value,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> NoToken {
        let code = parsed["error"].as_str();
        let said = match (code, parsed["error_description"].as_str()) {
            (Some(code), Some(description)) => format!("{code}: {description}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => {
                // Cut afterwards: what is left of a secret at the edge would not be known for one.
                let text = self.redactor().text(&String::from_utf8_lossy(body)).into_owned();
                text.trim().chars().take(SHOWN).collect()
            }
        };
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let passing = status.is_server_error()
            || matches!(status.as_u16(), 408 | 425 | 429)
            || matches!(code, Some("temporarily_unavailable" | "server_error"));
        if passing {
            let mut none = self.none(ErrorClass::Token, true, &format!("it answered {status}{said}"));
            none.wait = retry::requested(headers, now);
            return none;
        }
        if matches!(status.as_u16(), 400 | 401 | 403) {
            let message =
                format!("it answered {status}{said}; look at auth.client_id, client_secret, scopes and audience");
            return self.none(ErrorClass::Credentials, false, &message);
        }
        let message = format!("it answered {status}{said}; look at auth.token_url");
        self.none(ErrorClass::Token, false, &message)
    }

    fn redactor(&self) -> Redactor {
        Redactor::new([self.client_secret.expose_secret(), self.pair().as_str()])
    }

    fn none(&self, class: ErrorClass, passing: bool, message: &str) -> NoToken {
        let mut url = self.url.clone();
        url.set_query(None);
        if url.password().is_some() {
            // Fails only for URLs without a host, which http URLs have.
            let _ = url.set_password(Some(PLACEHOLDER));
        }
        let what = match class {
            ErrorClass::Credentials => "the token endpoint refused the credentials",
            _ => "no access token could be got",
        };
        NoToken {
            class,
            message: self.redactor().text(&format!("{what} ({url}): {message}")).into_owned(),
            passing,
            wait: None,
        }
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("url", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

/// The token and how long it lives (RFC 6749, section 5.1), or what is wrong with the answer. Never repeats the answer.
fn read(answer: &Value) -> Result<(String, Option<Duration>), String> {
    let Some(token) = answer["access_token"].as_str().filter(|token| !token.is_empty()) else {
        return Err("its answer is no JSON with an `access_token`".to_owned());
    };
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its `access_token` has characters that a header cannot carry".to_owned());
    }
    if let Some(kind) = answer["token_type"]
        .as_str()
        .filter(|kind| !kind.eq_ignore_ascii_case("bearer"))
    {
        return Err(format!(
            "its token is of the type {kind:?}, and only Bearer can be sent"
        ));
    }
    // Some servers write the number as a text.
    let life = match &answer["expires_in"] {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let life = life.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok((token.to_owned(), life))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request() -> TokenRequest {
        TokenRequest {
            url: Url::parse("https://id.example/token?x=1").unwrap(),
            client_id: "id:1".into(),
            client_secret: SecretString::from("s3cr&t word"),
            scopes: vec!["a".into(), "b".into()],
            audience: Some("api".into()),
            client_auth: ClientAuth::Basic,
        }
    }

    fn body(request: &TokenRequest) -> String {
        let request = request.request();
        let bytes = request.body().and_then(reqwest::Body::as_bytes);
        String::from_utf8(bytes.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn credentials_go_into_the_header_or_the_body() {
        let mut request = request();
        assert_eq!(body(&request), "grant_type=client_credentials&scope=a+b&audience=api");
        let sent = request.request();
        let pair = STANDARD.encode("id%3A1:s3cr%26t+word");
        assert_eq!(sent.headers()[AUTHORIZATION], format!("Basic {pair}"));
        request.client_auth = ClientAuth::Body;
        assert!(body(&request).contains("&client_id=id%3A1&client_secret=s3cr%26t+word&"));
        assert!(!request.request().headers().contains_key(AUTHORIZATION));
    }

    #[test]
    fn what_makes_another_token_makes_another_key() {
        let one = request();
        let changed = [
            TokenRequest {
                client_id: "other".into(),
                ..one.clone()
            },
            TokenRequest {
                client_secret: SecretString::from("other"),
                ..one.clone()
            },
            TokenRequest {
                scopes: vec!["a b".into()],
                ..one.clone()
            },
            TokenRequest {
                scopes: vec!["a".into(), "b".into(), "api".into()],
                audience: None,
                ..one.clone()
            },
            TokenRequest {
                client_auth: ClientAuth::Body,
                ..one.clone()
            },
        ];
        assert!(changed.iter().all(|other| other.key() != one.key()));
        assert_eq!(request().key(), one.key());
    }

    #[test]
    fn a_token_is_read_or_it_is_said_what_is_wrong() {
        for (answer, life) in [
            (
                json!({"access_token": "t", "token_type": "bearer", "expires_in": 60}),
                Some(60),
            ),
            (json!({"access_token": "t", "expires_in": "60"}), Some(60)),
            (json!({"access_token": "t", "expires_in": -1}), None),
            (json!({"access_token": "t"}), None),
        ] {
            assert_eq!(
                read(&answer),
                Ok(("t".to_owned(), life.map(Duration::from_secs))),
                "{answer}"
            );
        }
        for (answer, what) in [
            (json!(null), "access_token"),
            (json!({"access_token": ""}), "access_token"),
            (json!({"access_token": "a b"}), "header"),
            (json!({"access_token": "t0ken", "token_type": "DPoP"}), "DPoP"),
        ] {
            let error = read(&answer).unwrap_err();
            assert!(error.contains(what) && !error.contains("t0ken"), "{error}");
        }
    }

    #[test]
    fn wrong_credentials_are_told_from_a_server_that_is_away() {
        let refused = |status: u16, body: Value| {
            let status = StatusCode::from_u16(status).unwrap();
            let text = body.to_string();
            request().refused(status, &HeaderMap::new(), &body, text.as_bytes(), DateTime::UNIX_EPOCH)
        };
        use ErrorClass::{Credentials, Token};
        for (status, body, class, passing) in [
            (401, json!({"error": "invalid_client"}), Credentials, false),
            (
                400,
                json!({"error": "invalid_scope", "error_description": "no such scope"}),
                Credentials,
                false,
            ),
            (403, json!(null), Credentials, false),
            (400, json!({"error": "temporarily_unavailable"}), Token, true),
            (429, json!(null), Token, true),
            (500, json!("s3cr&t word"), Token, true),
            (503, json!(null), Token, true),
            (404, json!(null), Token, false),
            (302, json!(null), Token, false),
        ] {
            let none = refused(status, body.clone());
            assert_eq!((none.class, none.passing), (class, passing), "{status} {body}");
            assert!(none.message.contains("https://id.example/token)"), "{}", none.message);
            assert!(!none.message.contains("s3cr&t"), "{}", none.message);
        }
    }
}
