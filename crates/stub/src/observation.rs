//! What every call goes through: it is entered in the log, asked for the token, held against the limits,
//! delayed, perhaps made to fail, and only then answered by its route.
//!
//! Headers of a request come before the behaviour: `X-Stub-Latency-Ms`, `X-Stub-Status`, `X-Stub-Fault`, and
//! `X-Stub-Fail-First` for the number of first calls of its test that are answered with 503. An empty one counts as absent; one that cannot be read is answered with 400.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::behaviour::{Behaviour, FailFirst, Fault, FaultKind, status_code};
use crate::call::{Ending, Identity};
use crate::call_log::OpenCall;
use crate::draw::Draw;
use crate::fault::misbehave;
use crate::refusal::Refusal;
use crate::state::Shared;

/// What a call may know about itself further down.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) number: u64,
    pub(crate) identity: Identity,
}

/// Sees a call through, from its entry in the log to its end.
pub(crate) async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let identity = Identity::of(request.headers());
    let mut call = shared
        .calls
        .begin(request.method(), request.uri().path(), identity.clone());
    let plan = match Plan::of(&shared, &mut call, &identity, request.headers()) {
        Ok(plan) => plan,
        Err(refusal) => return finish(call, refusal.into_response()),
    };
    if !plan.latency.is_zero() {
        tokio::time::sleep(plan.latency).await;
    }
    if let Some(fault) = plan.fault {
        return misbehave(fault, call).await;
    }
    if let Some(refusal) = plan.refusal {
        return finish(call, refusal.into_response());
    }
    let number = call.number;
    request.extensions_mut().insert(Current { number, identity });
    let response = next.run(request).await;
    finish(call, response)
}

fn finish(mut call: OpenCall, response: Response) -> Response {
    call.note_status(response.status());
    call.note_ending(Ending::Answered);
    response
}

/// What is going to happen to a call.
struct Plan {
    latency: Duration,
    fault: Option<Fault>,
    refusal: Option<Refusal>,
}

/// An answer to a call that is refused at once.
enum AtOnce {
    /// For good.
    Refused(Refusal),
    /// For now; with what `Retry-After` says.
    Limited(Refusal, Option<HeaderValue>),
}

impl IntoResponse for AtOnce {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => refusal.into_response(),
            Self::Limited(refusal, retry_after) => {
                let mut response = refusal.into_response();
                if let Some(value) = retry_after {
                    response.headers_mut().insert(header::RETRY_AFTER, value);
                }
                response
            }
        }
    }
}

impl Plan {
    fn of(shared: &Shared, call: &mut OpenCall, identity: &Identity, headers: &HeaderMap) -> Result<Self, AtOnce> {
        check_token(shared, headers).map_err(AtOnce::Refused)?;
        let behaviour = shared.behaviour();
        match shared.admission.admit(behaviour.limits, shared.clock.elapsed_ns()) {
            Ok(admitted) => call.admitted = Some(admitted),
            Err(limit) => {
                let refusal = Refusal::new(behaviour.limits.status(), "rate_limit_error", limit);
                let retry_after = behaviour.limits.retry_after(chrono::Utc::now());
                return Err(AtOnce::Limited(refusal, retry_after));
            }
        }
        let wish = Wish::of(headers).map_err(AtOnce::Refused)?;
        let draw = match &identity.test {
            Some(test) => Draw::of_test(behaviour.seed, test, identity.attempt.unwrap_or(0)),
            None => Draw::of_call(behaviour.seed, call.number),
        };
        let drawn_fault = behaviour.fault.filter(|fault| draw.share("fault") < fault.share);
        // Counted whatever else happens to the call, so that the count does not depend on it.
        let failure = failure(shared, &behaviour, wish.fail_first, identity, draw);
        Ok(Self {
            latency: wish
                .latency
                .unwrap_or_else(|| behaviour.latency.at(draw.share("latency"))),
            fault: wish.fault.or(drawn_fault),
            refusal: wish
                .status
                .map(|status| Refusal::on_purpose(status, "asked for by X-Stub-Status"))
                .or(failure),
        })
    }
}

fn check_token(shared: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(token) = &shared.token else {
        return Ok(());
    };
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    if given == Some(token.as_str()) {
        return Ok(());
    }
    let message = "a bearer token is required, and it is missing or wrong";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, "authentication_error", message))
}

/// The error that the behaviour has for a call; the first of its three reasons.
fn failure(
    shared: &Shared,
    behaviour: &Behaviour,
    asked: Option<FailFirst>,
    identity: &Identity,
    draw: Draw,
) -> Option<Refusal> {
    let number = shared.count_call();
    let first = asked
        .or(behaviour.fail_first)
        .filter(|first| shared.behaviour_failures.is_among(first.attempts, identity))
        .map(|first| (first.status, "one of the first attempts of its test"));
    let nth = behaviour
        .every_nth
        .filter(|every| number.is_multiple_of(every.n))
        .map(|every| (every.status, "every nth call"));
    let random = behaviour
        .errors
        .filter(|errors| draw.share("error") < errors.share)
        .map(|errors| (errors.status, "a share of all calls"));
    let (status, why) = first.or(nth).or(random)?;
    Some(Refusal::on_purpose(status_code(status).ok()?, why))
}

/// What the headers of a request ask for.
struct Wish {
    latency: Option<Duration>,
    status: Option<StatusCode>,
    fault: Option<Fault>,
    fail_first: Option<FailFirst>,
}

impl Wish {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let status = read(headers, "x-stub-status", |text| {
            text.parse()
                .map_err(|_| format!("must be a number, found {text:?}"))
                .and_then(status_code)
        })?;
        let latency = read(headers, "x-stub-latency-ms", |text| {
            text.parse()
                .map(Duration::from_millis)
                .map_err(|_| format!("must be a whole number of milliseconds, found {text:?}"))
        })?;
        let fault = read(headers, "x-stub-fault", str::parse::<FaultKind>)?.map(Fault::always);
        let fail_first = read(headers, "x-stub-fail-first", |text| {
            text.parse()
                .map(|attempts| FailFirst { attempts, status: 503 })
                .map_err(|_| format!("must be a whole number of calls, found {text:?}"))
        })?;
        Ok(Self {
            latency,
            status,
            fault,
            fail_first,
        })
    }
}

fn read<T>(
    headers: &HeaderMap,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Refusal> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("(not text)").trim();
    if text.is_empty() {
        return Ok(None);
    }
    parse(text)
        .map(Some)
        .map_err(|problem| Refusal::bad_request(format!("{name}: {problem}"), Some(name)))
}
