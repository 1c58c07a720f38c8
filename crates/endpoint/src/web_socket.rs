//! One call over a WebSocket (RFC 6455): the handshake, the messages that are sent, and those that are the answer.
//!
//! The messages of the answer are the events of a stream, so `stream` puts it together. What is bounded: a message by the
//! largest body, all of them together by that of a stream (control frames included), and their number. Pings are answered, and
//! count as a sign of life.

use std::fmt;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Request, StatusCode};
use testfleet_model::result::ErrorClass;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::call::Failure;
use crate::client::{self, NAME};
use crate::conversation::Conversation;
use crate::dial::{Dialer, Io};
use crate::event::Event;
use crate::intake::Intake;
use crate::memory::{AnswerShare, FREE_READING};
use crate::metered::{Meter, Metered};
use crate::patience::{Patience, Pause};
use crate::request::{self, Messages};
use crate::response::{Answer, Reader, Reading, Received, Whole};

/// What the library reads at once, in bytes. It allocates so much for each connection.
const READ_BUFFER: usize = 8 * 1024;
/// How long a connection may take to be closed in order when the answer is there.
const GOODBYE: Duration = Duration::from_millis(500);

/// An open connection.
pub(crate) struct Socket {
    stream: WebSocketStream<Metered<Box<dyn Io>>>,
    meter: Meter,
    status: StatusCode,
    headers: HeaderMap,
    /// Whether `open` has been sent and `ready` has come.
    is_ready: bool,
}

/// What the handshake came to.
pub(crate) enum Opened {
    Socket(Box<Socket>),
    /// The endpoint answered something else than 101.
    Refused(Whole),
}

/// What comes over the connection.
enum Incoming {
    Text(String),
    /// A ping or a pong of so many bytes.
    Control(usize),
    /// The answer takes more memory than is free.
    Permission,
    Closed(Option<CloseFrame>),
}

/// Connects and shakes hands. `request` has the URL and the headers.
pub(crate) async fn open(
    dialer: &Dialer,
    request: Request,
    longest: usize,
    patience: &mut Patience,
    begin: Pause,
) -> Result<Opened, Failure> {
    let mut handshake = into_handshake(&request)?;
    let headers = handshake.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
    if !request.headers().contains_key(AUTHORIZATION)
        && let Some(value) = request::url_credentials(request.url())
    {
        headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in request.headers() {
        headers.insert(name.clone(), value.clone());
    }
    let meter = Meter::default();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(longest))
        .max_frame_size(Some(longest));
    let shake = async {
        let stream = Metered::new(dialer.dial(request.url()).await?, meter.clone());
        // Of headers the library takes 124.
        tokio::select! {
            shaken = client_async_with_config(handshake, stream, Some(config)) => Ok(shaken),
            () = meter.wants_permission() => {
                let message = format!("the head of the response is longer than {FREE_READING} bytes");
                Err(Failure::new(ErrorClass::Protocol, message))
            }
        }
    };
    match patience.wait(begin, Box::pin(shake)).await?? {
        Ok((stream, response)) => {
            let (parts, _) = response.into_parts();
            meter.begin_message();
            Ok(Opened::Socket(Box::new(Socket {
                stream,
                meter,
                status: parts.status,
                headers: parts.headers,
                is_ready: false,
            })))
        }
        Err(Error::Http(response)) => {
            let (parts, body) = response.into_parts();
            Ok(Opened::Refused(Whole::new(
                parts.status,
                parts.headers,
                body.unwrap_or_default(),
            )))
        }
        Err(error) => Err(broken(&error, longest)),
    }
}

fn into_handshake(request: &Request) -> Result<tokio_tungstenite::tungstenite::handshake::client::Request, Failure> {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let mut url = request.url().clone();
    // Neither fails for a URL with a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str()
        .into_client_request()
        .map_err(|error| Failure::new(ErrorClass::Template, format!("the request could not be built: {error}")))
}

impl Socket {
    async fn send(&mut self, text: &str, patience: &mut Patience, pause: Pause, longest: usize) -> Result<(), Failure> {
        let sent = patience.wait(pause, self.stream.send(Message::text(text))).await?;
        sent.map_err(|error| broken(&error, longest))
    }

    /// The next of what comes.
    async fn receive(&mut self, patience: &mut Patience, pause: Pause, longest: usize) -> Result<Incoming, Failure> {
        let (stream, meter) = (&mut self.stream, &self.meter);
        let next = async {
            tokio::select! {
                biased;
                message = stream.next() => Some(message),
                () = meter.wants_permission() => None,
            }
        };
        let Some(message) = patience.wait(pause, next).await? else {
            return Ok(Incoming::Permission);
        };
        Ok(match message {
            Some(Ok(Message::Text(text))) => {
                self.meter.begin_message();
                Incoming::Text(text.as_str().to_owned())
            }
            Some(Ok(Message::Binary(bytes))) => {
                let message = format!(
                    "the endpoint sent a binary message of {} bytes; only text messages can be understood",
                    bytes.len()
                );
                return Err(Failure::new(ErrorClass::Mapping, message));
            }
            Some(Ok(Message::Ping(bytes) | Message::Pong(bytes))) => {
                self.meter.begin_message();
                Incoming::Control(bytes.len())
            }
            Some(Ok(Message::Close(frame))) => Incoming::Closed(frame),
            // Only given to those who ask for it.
            Some(Ok(Message::Frame(_))) => Incoming::Control(0),
            Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => Incoming::Closed(None),
            Some(Err(error)) => return Err(broken(&error, longest)),
        })
    }

    /// Whether another question can be asked over it. What has come since the last answer belongs to no question, and is
    /// dropped.
    pub(crate) fn is_open(&mut self) -> bool {
        loop {
            match self.stream.next().now_or_never() {
                None => return true,
                Some(Some(Ok(Message::Close(_)) | Err(_)) | None) => return false,
                Some(Some(Ok(_))) => self.meter.begin_message(),
            }
        }
    }

    /// Says goodbye, if that does not take long.
    pub(crate) async fn close(mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        // Whether it arrives makes no difference to anybody.
        let _ = tokio::time::timeout(GOODBYE, self.stream.close(Some(frame))).await;
    }
}

impl fmt::Debug for Socket {
    /// Says nothing of what was sent or received.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("is_ready", &self.is_ready)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Leads one exchange over an open connection: what is to be sent is sent, and the answer read up to its last message.
    /// Afterwards the connection is the conversation's, if that goes on, else it is closed.
    pub(crate) async fn converse(
        &self,
        mut socket: Box<Socket>,
        messages: &Messages,
        conversation: &mut Conversation,
        patience: &mut Patience,
        share: &mut AnswerShare,
        reading: Reading<'_>,
    ) -> Result<Received, Failure> {
        socket.meter.begin_answer();
        let answer = Box::pin(self.exchange(&mut socket, messages, patience, share, reading)).await;
        if answer.is_ok() && conversation.goes_on() {
            conversation.keep(socket);
        } else {
            socket.close().await;
        }
        Ok(Received::Events(Box::new(answer?)))
    }

    async fn exchange(
        &self,
        socket: &mut Socket,
        messages: &Messages,
        patience: &mut Patience,
        share: &mut AnswerShare,
        reading: Reading<'_>,
    ) -> Result<Answer, Failure> {
        let Some(plan) = &self.stream else {
            return Err(Failure::new(
                ErrorClass::Internal,
                "there is no way to read the messages",
            ));
        };
        let received = Whole::new(socket.status, socket.headers.clone(), Vec::new());
        let headers = received.header_map(reading.redactor);
        let mut intake = self.intake(plan, received, &headers, reading)?;
        let idle = Pause::Idle(self.timeouts.idle);
        let mut permitted = false;
        if !socket.is_ready {
            for text in &messages.open {
                let sent = socket.send(text, patience, idle, self.max_body).await;
                sent.map_err(|failure| intake.broken(failure))?;
            }
            while plan.waits() {
                let text = self
                    .next_text(socket, &mut intake, patience, share, &mut permitted)
                    .await?;
                let Some(text) = text else {
                    return Err(closed(&intake, None, "before it was ready"));
                };
                let event = intake.message(text)?;
                if intake.is_ready(&event, patience.spent())? {
                    break;
                }
            }
            socket.is_ready = true;
        }
        for text in &messages.send {
            let sent = socket.send(text, patience, idle, self.max_body).await;
            sent.map_err(|failure| intake.broken(failure))?;
        }
        let mut heaviest = 0;
        while !intake.is_over() {
            match self
                .next_text(socket, &mut intake, patience, share, &mut permitted)
                .await?
            {
                Some(text) => {
                    let event: Event = intake.message(text)?;
                    self.take_event(&mut intake, &event, &mut heaviest, patience.spent(), share)
                        .await?;
                }
                None => intake.end(),
            }
        }
        self.finish_events(intake, heaviest, patience.spent(), share).await
    }

    /// The next text; nothing when the endpoint has closed the connection as it may.
    async fn next_text(
        &self,
        socket: &mut Socket,
        intake: &mut Intake<'_>,
        patience: &mut Patience,
        share: &mut AnswerShare,
        permitted: &mut bool,
    ) -> Result<Option<String>, Failure> {
        loop {
            let pause = match self.timeouts.first_byte {
                Some(limit) if !intake.has_begun() => Pause::FirstByte(Some(limit)),
                _ => Pause::Idle(self.timeouts.idle),
            };
            let incoming = socket.receive(patience, pause, self.max_body).await;
            match incoming.map_err(|failure| intake.broken(failure))? {
                Incoming::Text(text) => return Ok(Some(text)),
                Incoming::Control(bytes) => intake.control(bytes)?,
                Incoming::Permission => {
                    if !*permitted {
                        share.read(2 * self.max_body).await;
                        *permitted = true;
                    }
                    socket.meter.permit();
                }
                Incoming::Closed(frame) => {
                    let normal = frame
                        .as_ref()
                        .is_none_or(|frame| matches!(frame.code, CloseCode::Normal | CloseCode::Status));
                    if normal && intake.may_end_on_close() {
                        return Ok(None);
                    }
                    return Err(closed(intake, frame.as_ref(), "before the answer was complete"));
                }
            }
        }
    }
}

/// The endpoint has closed the connection too early.
fn closed(intake: &Intake<'_>, frame: Option<&CloseFrame>, when: &str) -> Failure {
    let how = match frame {
        None => "without a close code".to_owned(),
        Some(frame) => {
            let code = u16::from(frame.code);
            let meaning = meaning(code).map(|meaning| format!(" ({meaning})")).unwrap_or_default();
            let reason = frame.reason.as_str();
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            format!("with code {code}{meaning}{reason}")
        }
    };
    let message = format!("the endpoint closed the connection {when}, {how}");
    intake.broken(Failure::new(ErrorClass::Protocol, message))
}

/// What the codes of RFC 6455, section 7.4.1, and of the registry at IANA mean.
fn meaning(code: u16) -> Option<&'static str> {
    Some(match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1005 => "no status",
        1006 => "abnormal closure",
        1007 => "invalid payload",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "mandatory extension",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        _ => return None,
    })
}

/// What an error of the library means.
fn broken(error: &Error, longest: usize) -> Failure {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            let message = format!("a message of the WebSocket is larger than {longest} bytes");
            Failure::new(ErrorClass::TooLarge, message)
        }
        error => {
            let why = client::causes(error);
            Failure::new(ErrorClass::Protocol, format!("the call broke off: {why}"))
        }
    }
}
