//! Sends a rendered request and receives what comes back.

use std::sync::Arc;

use reqwest::header::AUTHORIZATION;
use reqwest::{Request, Response, StatusCode};
use testfleet_model::result::{ErrorClass, ErrorDetail};

use super::{Target, reading};
use crate::call::{Call, Failure};
use crate::client;
use crate::conversation::Conversation;
use crate::guard;
use crate::memory::AnswerShare;
use crate::patience::{Patience, Pause};
use crate::redaction::Redactor;
use crate::redirect;
use crate::request::{self, Outgoing};
use crate::response::{Received, Whole};
use crate::token::Token;
use crate::token_request::TokenRequest;
use crate::web_socket::{self, Opened, Socket};

/// A response whose body has not been read.
enum Begun {
    Http(Response),
    Socket(Box<Socket>),
    /// The handshake of a WebSocket was answered otherwise.
    Refused(Whole),
}

impl Begun {
    fn status(&self) -> StatusCode {
        match self {
            Self::Http(response) => response.status(),
            Self::Socket(_) => StatusCode::SWITCHING_PROTOCOLS,
            Self::Refused(whole) => whole.status(),
        }
    }
}

impl Target {
    /// Sends the request. Where it needs an access token that turns out to be refused (401), it is sent once more with
    /// another one, within the time that the call has left.
    pub(super) async fn exchange(
        &self,
        call: &Call<'_>,
        outgoing: Outgoing,
        conversation: &mut Conversation,
        redactor: &mut Redactor,
        patience: &mut Patience,
        share: &mut AnswerShare,
    ) -> Result<Received, Failure> {
        let Outgoing {
            method,
            url,
            headers,
            body,
            secret_body,
            messages,
            token: needed,
            ..
        } = outgoing;
        // Before an access token is got for it.
        self.egress.check_url(&url).map_err(guard::denied)?;
        let mut request = Request::new(method, url);
        *request.headers_mut() = headers;
        *request.body_mut() = body.map(Into::into);
        let mut refused: Option<Arc<Token>> = None;
        loop {
            let token = match &needed {
                Some(needed) => {
                    share.wait_elsewhere(true);
                    let token = self.token(needed, refused.as_ref(), call).await;
                    share.wait_elsewhere(false);
                    Some(token?)
                }
                None => None,
            };
            if let Some(token) = &token {
                *redactor = self.redactor.and(token.redactor());
                request
                    .headers_mut()
                    .insert(AUTHORIZATION, request::bearer(token.value())?);
            }
            // Always possible, since no body is a stream.
            let again = token.is_some().then(|| request.try_clone()).flatten();
            if refused.is_some() {
                patience.begin_again();
            }
            let kept = messages.as_ref().and_then(|_| conversation.connection());
            let begun = match (kept, &messages) {
                (Some(socket), _) => Begun::Socket(socket),
                (None, Some(_)) => self.open(request, patience).await?,
                (None, None) => Begun::Http(self.send(request, secret_body, patience).await?),
            };
            match again {
                Some(again) if refused.is_none() && self.reader.is_refusal(begun.status()) => {
                    request = again;
                    refused = token;
                    continue;
                }
                _ => {}
            }
            let reading = reading(call, redactor, std::time::Duration::ZERO);
            return match (begun, &messages) {
                (Begun::Http(response), _) => self.reader.receive(response, patience, share, reading).await,
                (Begun::Socket(socket), Some(messages)) => {
                    let answer = self
                        .reader
                        .converse(socket, messages, conversation, patience, share, reading);
                    Box::pin(answer).await
                }
                (Begun::Refused(whole), _) => Ok(Received::Whole(whole)),
                (Begun::Socket(_), None) => Err(Failure::new(ErrorClass::Internal, "there are no messages to send")),
            };
        }
    }

    /// The response to the request, or to what it is redirected to as far as that is wanted. Every hop passes the egress policy.
    async fn send(
        &self,
        mut request: Request,
        secret_body: bool,
        patience: &mut Patience,
    ) -> Result<Response, Failure> {
        let failed = |error| client::failure(error, self.timeouts.connect);
        let begin = Pause::FirstByte(self.timeouts.first_byte);
        let mut hops = 0;
        loop {
            let client = patience.wait(begin, self.clients.of(request.url())).await??;
            let sent = if self.max_redirects > 0 {
                request.try_clone()
            } else {
                None
            };
            let response = patience.wait(begin, client.execute(request)).await?.map_err(failed)?;
            let status = response.status();
            match sent.filter(|_| redirect::is_one(status, response.headers())) {
                None => return Ok(response),
                Some(_) if hops == self.max_redirects => {
                    let message = format!(
                        "the endpoint answered {status} after {hops} redirects, which is as many as endpoint.max_redirects allows"
                    );
                    let mut detail = ErrorDetail::new(ErrorClass::Status, message);
                    detail.http_status = Some(status.as_u16());
                    return Err(Failure {
                        detail,
                        ..Failure::new(ErrorClass::Status, "")
                    });
                }
                Some(sent) => {
                    request = redirect::follow(sent, status, response.headers(), secret_body)?;
                    hops += 1;
                }
            }
        }
    }

    async fn open(&self, request: Request, patience: &mut Patience) -> Result<Begun, Failure> {
        let begin = Pause::FirstByte(self.timeouts.first_byte);
        let longest = self.limits.max_body_bytes;
        let opened = Box::pin(web_socket::open(&self.dialer, request, longest, patience, begin)).await?;
        Ok(match opened {
            Opened::Socket(socket) => Begun::Socket(socket),
            Opened::Refused(whole) => Begun::Refused(whole),
        })
    }

    async fn token(
        &self,
        request: &TokenRequest,
        refused: Option<&Arc<Token>>,
        call: &Call<'_>,
    ) -> Result<Arc<Token>, Failure> {
        let get = || request.send(&self.clients, &self.timeouts, call.now);
        Ok(self.tokens.token(request.key(), refused, get).await?)
    }
}
