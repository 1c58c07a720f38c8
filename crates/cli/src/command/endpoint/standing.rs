//! How an endpoint stands, in a few words.

use testfleet_store::view::{BreakerState, EndpointView, Limit, Room};

use crate::command::time::remaining;

/// Tests in flight, and calls that end although nobody waits for them: `3`, `3+1`.
pub(super) fn in_flight(endpoint: &EndpointView) -> String {
    match endpoint.lingering {
        0 => endpoint.in_flight.to_string(),
        lingering => format!("{}+{lingering}", endpoint.in_flight),
    }
}

/// Calls in flight at most: `16`, or `7 of 16` where the endpoint takes fewer than it may get; `-` without a limit.
pub(super) fn at_most(endpoint: &EndpointView) -> String {
    let adapted = endpoint.adaptive.limit.map(|limit| limit.floor().max(1.0) as u64);
    match (adapted, endpoint.max_concurrency.map(u64::from)) {
        (Some(adapted), Some(most)) if adapted < most => format!("{adapted} of {most}"),
        (_, Some(most)) => most.to_string(),
        (Some(adapted), None) => adapted.to_string(),
        (None, None) => "-".to_owned(),
    }
}

/// `ready`, `full`, `held by Retry-After for 12s`, …
pub(super) fn sentence(endpoint: &EndpointView, now: i64) -> String {
    if endpoint.damaged {
        return "damaged; see `testfleet doctor`".to_owned();
    }
    if !endpoint.room.is_there() && endpoint.room.limit == Some(Limit::Hold) {
        let reason = endpoint
            .hold
            .as_ref()
            .map(|hold| hold.reason.as_str())
            .unwrap_or_default();
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        return format!("{}{reason}", room(&endpoint.room, now));
    }
    if endpoint.room.is_there() && endpoint.breaker.state == BreakerState::HalfOpen {
        return "breaker half open: one call decides".to_owned();
    }
    room(&endpoint.room, now)
}

/// The same without what only the endpoint itself knows.
pub(crate) fn room(room: &Room, now: i64) -> String {
    if room.is_there() {
        return "ready".to_owned();
    }
    let until = room.until_ms.map(|until| remaining(now, until));
    let in_time = |what: &str| match &until {
        Some(time) => format!("{what} {time}"),
        None => what.to_owned(),
    };
    match room.limit {
        Some(Limit::Hold) => until.as_ref().map_or_else(
            || "held until it is released".to_owned(),
            |time| format!("held for {time}"),
        ),
        Some(Limit::RetryAfter) => in_time("held by Retry-After for"),
        Some(Limit::Breaker) if until.is_some() => in_time("breaker open for"),
        Some(Limit::Breaker) => "breaker half open: one call decides".to_owned(),
        Some(Limit::MaxConcurrency) | None => "full".to_owned(),
        Some(Limit::Adaptive) => "full: it refused more calls".to_owned(),
        Some(Limit::Rate) => in_time("rate used up; next in"),
        Some(Limit::Tokens) if until.is_some() => in_time("tokens used up; next in"),
        Some(Limit::Tokens) => "tokens used up by the calls in flight".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_way_is_said_in_words() {
        let of = |limit, until_ms| Room {
            tests: Some(0),
            limit: Some(limit),
            until_ms,
        };
        for (given, expected) in [
            (Room::default(), "ready"),
            (of(Limit::MaxConcurrency, None), "full"),
            (of(Limit::RetryAfter, Some(13_000)), "held by Retry-After for 12s"),
            (of(Limit::Breaker, Some(4_000)), "breaker open for 3s"),
            (of(Limit::Hold, None), "held until it is released"),
            (of(Limit::Hold, Some(601_000)), "held for 10m"),
            (of(Limit::Rate, Some(1_020)), "rate used up; next in 20ms"),
            (of(Limit::Tokens, None), "tokens used up by the calls in flight"),
        ] {
            assert_eq!(room(&given, 1_000), expected);
        }
    }
}
