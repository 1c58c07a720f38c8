//! `status-code`: the HTTP status of the response.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::Value;
use testfleet_model::configuration::Metric;

use crate::finding::{Finding, Outcome};
use crate::problem::Problems;
use crate::subject::Subject;

/// What HTTP allows.
const STATUSES: RangeInclusive<u16> = 100..=599;

/// Holds the status against single ones and ranges.
#[derive(Debug)]
pub(crate) struct StatusCode {
    wanted: Vec<Range>,
}

#[derive(Debug)]
struct Range(RangeInclusive<u16>);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (self.0.start(), self.0.end());
        if low == high {
            write!(f, "{low}")
        } else {
            write!(f, "{low}-{high}")
        }
    }
}

impl StatusCode {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let Some(value) = &metric.value else {
            problems.add(
                "value",
                "status-code needs one: a status, \"2xx\", \"200-299\", or a list of them",
            );
            return None;
        };
        let list: &[Value] = match value {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        if list.is_empty() {
            problems.add("value", "the list is empty; name at least one status");
            return None;
        }
        let wanted: Result<Vec<_>, _> = list.iter().map(range).collect();
        Some(Self {
            wanted: problems.take("value", wanted)?,
        })
    }

    pub(super) fn run(&self, subject: &Subject<'_>) -> Outcome {
        let status = subject.status.ok_or("the response has no HTTP status")?;
        let holds = self.wanted.iter().any(|range| range.0.contains(&status));
        let wanted: Vec<_> = self.wanted.iter().take(10).map(ToString::to_string).collect();
        let wanted = wanted.join(" or ");
        let reason = match holds {
            true if wanted == status.to_string() => format!("the status is {status}"),
            true => format!("the status is {status}, as wanted ({wanted})"),
            false => format!("the status is {status}, not {wanted}"),
        };
        Ok(Finding::holds(holds, reason))
    }
}

fn range(value: &Value) -> Result<Range, String> {
    let parsed = match value {
        Value::Number(number) => number
            .as_u64()
            .and_then(|status| u16::try_from(status).ok())
            .map(|one| one..=one),
        Value::String(text) => parse(text.trim()),
        _ => None,
    };
    parsed
        .filter(|range| STATUSES.contains(range.start()) && STATUSES.contains(range.end()) && !range.is_empty())
        .map(Range)
        .ok_or_else(|| format!("{value} is not a status; write 200, \"2xx\" or \"200-299\""))
}

fn parse(text: &str) -> Option<RangeInclusive<u16>> {
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let class: u16 = class.parse().ok()?;
        let low = class.checked_mul(100)?;
        return Some(low..=low.checked_add(99)?);
    }
    match text.split_once('-') {
        Some((low, high)) => Some(low.trim().parse().ok()?..=high.trim().parse().ok()?),
        None => text.parse().ok().map(|one| one..=one),
    }
}
