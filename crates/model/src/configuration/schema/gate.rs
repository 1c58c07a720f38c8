//! Gates and the baseline.

use serde_json::{Value, json};

use crate::configuration::{FailOn, MAX_GATES};
use crate::gate::{BaselineMeasure, CountMeasure, MetricMeasure, Quantile, RateMeasure};

use super::shape::{Key, Mapping, amount, filled, one_or_list, plain_name, word};

pub(super) fn gates() -> Value {
    let gate = Mapping::of(vec![
        Key::new("gate", condition(), "The condition.").required(),
        Key::new("name", filled(), "What reports call it; else the condition."),
        Key::new(
            "where",
            one_or_list(filter()),
            "The tests it is about: those that all of these mean; else all tests.",
        ),
        Key::new(
            "severity",
            word(&["error", "warn"]),
            "`warn`: it is reported and decides nothing.",
        )
        .default("error"),
    ]);
    json!({"type": "array", "maxItems": MAX_GATES, "items": {"anyOf": [condition(), gate.schema()]}})
}

fn condition() -> Value {
    json!({
        "type": "string",
        "pattern": format!(
            "^\\s*({})\\s*(>=|<=|==|!=|>|<)\\s*[-+]?[0-9.][0-9.eE+-]*\\s*%?\\s*$",
            measures()
        ),
        "description": "MEASURE COMPARATOR NUMBER, with >=, <=, >, <, == or !=.",
        "examples": ["pass_rate >= 0.95", "error_rate <= 2%", "latency_ms.p95 < 6000", "metric.tone.mean >= 0.75", "cost <= 5"],
    })
}

/// The names of measures, as a pattern.
fn measures() -> String {
    fn one_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
        words.collect::<Vec<_>>().join("|")
    }
    let rates = one_of(RateMeasure::ALL.iter().map(|of| of.word()));
    let counts = one_of(CountMeasure::ALL.iter().map(|of| of.word()));
    let quantiles = one_of(Quantile::ALL.iter().map(|of| of.word()));
    let figures = one_of(MetricMeasure::ALL.iter().map(|of| of.word()));
    let compared = one_of(BaselineMeasure::ALL.iter().map(|of| of.word()));
    // In a pattern a quote is none of the characters that end a plain name.
    let name = "(\"[^\"]+\"|[^\"'<>=!\\s])+";
    format!(
        "{rates}|{counts}|latency_ms\\.({quantiles})|cost|usage\\.{name}|metric\\.{name}\\.({figures})|baseline\\.({compared})"
    )
}

fn filter() -> Value {
    json!({
        "type": "string",
        "pattern": "^\\s*tag:\\s*[^=\\s][^=]*(=\\s*\\S[\\s\\S]*)?$",
        "examples": ["tag:area=refunds", "tag:area"],
    })
}

pub(super) fn baseline() -> Value {
    let name = || {
        Key::new(
            "name",
            plain_name(),
            "A stored baseline: `testfleet baseline set NAME RUN`.",
        )
    };
    let mapping = Mapping::of(vec![
        name(),
        Key::new(
            "run",
            json!({"type": "string", "pattern": "^[0-9a-fA-F-]{32,36}$"}),
            "The id of a run that has ended and is still kept.",
        ),
        Key::new(
            "fail_on",
            word(&[FailOn::Regressed, FailOn::Significant, FailOn::Never].map(FailOn::word)),
            "When the comparison fails: a test is worse; the whole is, beyond chance; never. Without it `regressed`, or `never` where a gate is about the comparison.",
        ),
        Key::new(
            "alpha",
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
            "The probability up to which a change counts as significant.",
        )
        .default(0.05),
        Key::new(
            "score_tolerance",
            amount(),
            "A test whose verdict stays is worse, or better, when a score moves by more than this.",
        ),
        Key::new(
            "latency_tolerance",
            amount(),
            "The same for its call, as a share: 0.5 is half as long again.",
        ),
    ]);
    json!({"anyOf": [plain_name(), mapping.with_one_of(&["name", "run"]).schema()]})
}
