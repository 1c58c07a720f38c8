//! `endpoint show` for people.

use std::fmt::Write as _;
use std::time::Duration;

use testfleet_model::configuration::Rate;
use testfleet_report::visible::one_line;
use testfleet_store::view::{BreakerState, Change, EndpointDetail, EndpointView, Limited, Origin, TenantLine};

use super::standing;
use crate::command::limit::{adaptive_text, breaker_text, rate_text};
use crate::command::time::{between, moment, remaining};
use crate::output::{Column, table};

/// The longest text on a line.
const MAX_TEXT: usize = 300;

/// `1 run`, `2 runs`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn everything(detail: &EndpointDetail, now: i64) -> String {
    let endpoint = &detail.endpoint;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "{label:<12}{}", one_line(value, MAX_TEXT));
    };
    line("endpoint", &endpoint.endpoint);
    line("state", &state(endpoint, now));
    line("in flight", &in_flight(endpoint));
    line("waiting", &counted(endpoint.waiting_runs, "run"));
    if let Some(ms) = endpoint.mean_ms {
        let mean = if ms < 1_000.0 {
            format!("{ms:.0} ms")
        } else {
            between(0, ms.round() as i64)
        };
        line("mean time", &format!("{mean} a test"));
    }
    if let Some(hold) = &endpoint.hold {
        let until = hold.until_ms.map_or_else(
            || "until it is released".to_owned(),
            |until| format!("for {}, until {} UTC", remaining(now, until), moment(Some(until))),
        );
        let reason = if hold.reason.is_empty() {
            "no reason given"
        } else {
            &hold.reason
        };
        line("hold", &format!("{until}: {reason}"));
    }
    if let Some(until) = endpoint.retry_after_until_ms {
        line("Retry-After", &format!("for {}", remaining(now, until)));
    }
    let _ = write!(text, "\n{}", limits(endpoint, now));
    if !detail.tenants.is_empty() {
        let _ = write!(text, "\nWaiting, next one first\n{}", table(&detail.tenants, TENANTS));
    }
    if !detail.history.is_empty() {
        let rows: Vec<(Change, i64)> = detail.history.iter().map(|change| (change.clone(), now)).collect();
        let _ = write!(text, "\nChanges, newest first\n{}", table(&rows, CHANGES));
    }
    text
}

fn state(endpoint: &EndpointView, now: i64) -> String {
    let sentence = standing::sentence(endpoint, now);
    match endpoint.room.tests {
        Some(tests) if tests > 0 => format!("{sentence}; {} more may begin now", counted(tests, "test")),
        _ => sentence,
    }
}

fn in_flight(endpoint: &EndpointView) -> String {
    let calls = counted(u64::from(endpoint.in_flight), "call");
    match endpoint.lingering {
        0 => calls,
        lingering => format!(
            "{calls}, and {} of runs that were ended, which may still go on",
            counted(u64::from(lingering), "call")
        ),
    }
}

/// A limit in the table.
struct Row {
    name: &'static str,
    holds: String,
    from: &'static str,
    runs: String,
    now: String,
}

const LIMITS: &[Column<Row>] = &[
    Column::text("limit", |row| row.name.to_owned()),
    Column::text("holds now", |row| row.holds.clone()),
    Column::text("from", |row| row.from.to_owned()),
    Column::text("runs bring", |row| row.runs.clone()),
    Column::text("now", |row| row.now.clone()),
];

/// What holds now, where that comes from, and what runs bring.
pub(super) fn limits(endpoint: &EndpointView, now: i64) -> String {
    let rows = [
        row(
            "max concurrency",
            &endpoint.concurrency,
            "none",
            u32::to_string,
            in_use(endpoint),
        ),
        row("rate", &endpoint.rate, "none", rate_text, rate_left(endpoint, now)),
        row("tokens", &endpoint.tokens, "none", rate_text, tokens_left(endpoint)),
        row(
            "adaptive",
            &endpoint.adaptive.setting,
            "on",
            adaptive_text,
            adapted(endpoint, now),
        ),
        row(
            "breaker",
            &endpoint.breaker.setting,
            "none",
            breaker_text,
            broken(endpoint, now),
        ),
    ];
    table(&rows, LIMITS)
}

fn row<T>(
    name: &'static str,
    limited: &Limited<T>,
    without: &'static str,
    text: impl Fn(&T) -> String,
    now: String,
) -> Row {
    Row {
        name,
        holds: limited.value.as_ref().map_or_else(|| without.to_owned(), &text),
        from: match limited.origin {
            Origin::Default => "default",
            Origin::Run => "runs",
            Origin::Operator => "operator",
        },
        runs: limited.of_runs.as_ref().map_or_else(|| "-".to_owned(), &text),
        now,
    }
}

fn in_use(endpoint: &EndpointView) -> String {
    match endpoint.max_concurrency {
        Some(_) => format!("{} in use", endpoint.in_flight + endpoint.lingering),
        None => String::new(),
    }
}

fn rate_left(endpoint: &EndpointView, now: i64) -> String {
    match (endpoint.rate_left, endpoint.room.limit, endpoint.room.until_ms) {
        (Some(0), Some(testfleet_store::view::Limit::Rate), Some(until)) => {
            format!("next in {}", remaining(now, until))
        }
        (Some(0), ..) => "used up".to_owned(),
        (Some(left), ..) => format!("{left} may begin at once"),
        (None, ..) => String::new(),
    }
}

fn tokens_left(endpoint: &EndpointView) -> String {
    let each = endpoint
        .tokens_per_call
        .map_or_else(String::new, |tokens| format!(", about {tokens:.0} a call"));
    match endpoint.tokens_left {
        Some(left) if left < 0 => format!("{} more used than there were{each}", left.unsigned_abs()),
        Some(left) => format!("{left} left{each}"),
        None => String::new(),
    }
}

fn adapted(endpoint: &EndpointView, now: i64) -> String {
    let adaptive = &endpoint.adaptive;
    let Some(limit) = adaptive.limit else {
        return match adaptive.setting.value {
            Some(setting) if !setting.enabled => String::new(),
            _ => "no call was refused yet".to_owned(),
        };
    };
    let mut text = format!("limit {limit:.1}");
    if let Some(at) = adaptive.decreased_at_ms {
        let _ = write!(text, ", fell {} ago", between(at, now));
    }
    if let Some(ceiling) = adaptive.ceiling {
        let _ = write!(text, "; refused at {ceiling:.0}");
        if let Some(at) = adaptive.probe_at_ms.filter(|at| *at > now) {
            let _ = write!(text, ", stays below for {}", remaining(now, at));
        }
    }
    text
}

fn broken(endpoint: &EndpointView, now: i64) -> String {
    let breaker = &endpoint.breaker;
    let failures = format!("{} in a row", counted(breaker.failures, "failure"));
    match breaker.state {
        BreakerState::Off => String::new(),
        BreakerState::Closed => format!("closed, {failures}"),
        BreakerState::HalfOpen => format!("half open after {failures}: one call decides"),
        BreakerState::Open => {
            let until = breaker.open_until_ms.unwrap_or(now);
            format!("open for {} after {failures}", remaining(now, until))
        }
    }
}

const TENANTS: &[Column<TenantLine>] = &[
    Column::text("tenant", |row| row.tenant.clone()),
    Column::number("weight", |row| row.weight.to_string()),
    Column::number("runs waiting", |row| row.waiting_runs.to_string()),
];

const CHANGES: &[Column<(Change, i64)>] = &[
    Column::number("ago", |(row, now)| between(row.at_ms, *now)),
    Column::number("limit", |(row, _)| row.limit.clone().unwrap_or_else(|| "-".to_owned())),
    Column::text("what", |(row, _)| row.what.clone()),
    Column::text("more", |(row, _)| {
        if row.what == "set" {
            setting(&row.detail)
        } else {
            readable(&row.detail)
        }
    }),
];

/// `open for 10000 ms after 5 failures` with a time as people read it.
fn readable(detail: &str) -> String {
    let mut words: Vec<String> = detail.split(' ').map(ToOwned::to_owned).collect();
    for at in (1..words.len()).rev() {
        let unit = words[at].trim_end_matches(':').to_owned();
        if unit == "ms"
            && let Ok(ms) = words[at - 1].parse::<i64>()
        {
            let rest = words.remove(at)["ms".len()..].to_owned();
            words[at - 1] = format!("{}{rest}", between(0, ms));
        }
    }
    words.join(" ")
}

/// `rate 50/1000/1` as it is typed; what is no such setting stays as it is.
fn setting(detail: &str) -> String {
    let numbers = |text: &str| -> Vec<u64> { text.split('/').filter_map(|part| part.parse().ok()).collect() };
    let Some((name, value)) = detail.split_once(' ') else {
        return detail.to_owned();
    };
    let readable = match (name, numbers(value).as_slice()) {
        ("rate" | "tokens", [count, per, _]) => rate_text(&Rate {
            count: *count,
            per: Duration::from_millis(*per),
            burst: None,
        }),
        ("adaptive", [1]) => "on".to_owned(),
        ("adaptive", [min, start]) => format!("{min}:{start}"),
        ("breaker", [failures, ms]) => {
            format!(
                "{failures}:{}",
                testfleet_model::duration::format(Duration::from_millis(*ms))
            )
        }
        _ => value.to_owned(),
    };
    format!("--{} {readable}", name.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_the_history_are_read_by_people() {
        assert_eq!(
            readable("open for 10000 ms after 5 failures"),
            "open for 10s after 5 failures"
        );
        assert_eq!(readable("for 600000 ms: deployment"), "for 10m: deployment");
        assert_eq!(readable("refused at 9.0"), "refused at 9.0");
        assert_eq!(readable("ms"), "ms");
    }

    #[test]
    fn settings_in_the_history_read_as_they_are_typed() {
        for (stored, shown) in [
            ("rate 50/1000/1", "--rate 50/s"),
            ("max_concurrency 8", "--max-concurrency 8"),
            ("adaptive 2/8", "--adaptive 2:8"),
            ("adaptive 1/", "--adaptive on"),
            ("breaker 10/10000", "--breaker 10:10s"),
            ("tokens none", "--tokens none"),
            ("rate as runs bring it", "--rate as runs bring it"),
        ] {
            assert_eq!(setting(stored), shown);
        }
    }
}
