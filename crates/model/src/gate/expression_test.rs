//! What reads as a gate, what does not, and what people are told then.

use proptest::prelude::*;

use super::*;
use crate::gate::{BaselineMeasure, CountMeasure, MetricMeasure, Quantile, RateMeasure};

fn parsed(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

fn problem(text: &str) -> String {
    Expression::parse(text).unwrap_err().join("\n")
}

#[test]
fn gates_read_as_they_are_written() {
    let tone = |figure| Measure::Metric("tone".to_owned(), figure);
    for (text, measure, comparator, bound) in [
        (
            "pass_rate >= 0.95",
            Measure::Rate(RateMeasure::Pass),
            Comparator::Ge,
            0.95,
        ),
        ("pass_rate>=95%", Measure::Rate(RateMeasure::Pass), Comparator::Ge, 0.95),
        (
            "pass_rate >= 99.7 %",
            Measure::Rate(RateMeasure::Pass),
            Comparator::Ge,
            0.997,
        ),
        (
            " error_rate  <=  0.02 ",
            Measure::Rate(RateMeasure::Error),
            Comparator::Le,
            0.02,
        ),
        (
            "latency_ms.p95 < 6000",
            Measure::Latency(Quantile::P95),
            Comparator::Lt,
            6_000.0,
        ),
        (
            "metric.tone.mean >= 0.75",
            tone(MetricMeasure::Mean),
            Comparator::Ge,
            0.75,
        ),
        (
            "metric.tone.pass_rate > 50%",
            tone(MetricMeasure::PassRate),
            Comparator::Gt,
            0.5,
        ),
        ("cost <= 5", Measure::Cost, Comparator::Le, 5.0),
        (
            "usage.total_tokens <= 1e6",
            Measure::Usage("total_tokens".to_owned()),
            Comparator::Le,
            1e6,
        ),
        (
            "tests_failed == 0",
            Measure::Count(CountMeasure::Failed),
            Comparator::Eq,
            0.0,
        ),
        (
            "baseline.regressed != 3",
            Measure::Baseline(BaselineMeasure::Regressed),
            Comparator::Ne,
            3.0,
        ),
        (
            "baseline.pass_rate_change >= -2%",
            Measure::Baseline(BaselineMeasure::PassRateChange),
            Comparator::Ge,
            -0.02,
        ),
        (
            "metric.rouge-1.p50 >= .5",
            Measure::Metric("rouge-1".to_owned(), MetricMeasure::P50),
            Comparator::Ge,
            0.5,
        ),
        (
            "metric.\"my >= tone. v2\".min > 0",
            Measure::Metric("my >= tone. v2".to_owned(), MetricMeasure::Min),
            Comparator::Gt,
            0.0,
        ),
        (
            "metric.a.b.max < -1.5",
            Measure::Metric("a.b".to_owned(), MetricMeasure::Max),
            Comparator::Lt,
            -1.5,
        ),
    ] {
        let expected = Expression {
            measure,
            comparator,
            bound,
        };
        assert_eq!(parsed(text), expected, "{text}");
        assert_eq!(parsed(&expected.to_string()), expected, "{expected}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    for (text, told) in [
        (
            "",
            "a gate compares; write MEASURE COMPARATOR NUMBER, such as pass_rate >= 0.95",
        ),
        ("pass_rate", "a gate compares"),
        ("pass_rate = 1", "expected one of >=, <=, >, <, == and !="),
        ("pass_rate ≥ 1", "expected one of >="),
        ("0.95 <= pass_rate", "the measure comes first"),
        (">= 1", "nothing is measured"),
        (
            "pas_rate >= 0.9",
            "unknown measure \"pas_rate\"; did you mean \"pass_rate\"?",
        ),
        (
            "accuracy >= 0.9",
            "unknown measure \"accuracy\"; there are pass_rate, fail_rate",
        ),
        ("pass_rate.mean >= 0.9", "pass_rate has no parts"),
        (
            "latency_ms < 3",
            "which figure of latency_ms? write latency_ms.p95, or another one of p50, p90, p95, p99, max",
        ),
        (
            "latency_ms.p96 < 3",
            "latency_ms has no \"p96\"; did you mean latency_ms.p9",
        ),
        ("latency.p95 < 3", "did you mean \"latency_ms\"?"),
        ("metric >= 1", "which metric?"),
        (
            "metric.tone >= 1",
            "which figure of metric.tone? write metric.tone.mean",
        ),
        (
            "metric.tone.avg >= 1",
            "metric.tone has no \"avg\"; there are mean, min, max",
        ),
        ("metric.tone.maen >= 1", "did you mean metric.tone.mean?"),
        ("usage > 1", "usage of what?"),
        ("baseline > 1", "which figure of baseline?"),
        ("baseline.regresed == 0", "did you mean baseline.regressed?"),
        ("metric.my tone.mean > 1", "put names that are no plain words in quotes"),
        ("metric.\"my tone.mean > 1", "a gate compares"),
        ("metric..mean > 1", "has an empty name in it"),
        (
            "pass_rate >= much",
            "expected a number after the comparator, found \"much\"",
        ),
        ("pass_rate >= ", "found \"\""),
        ("pass_rate >= inf", "expected a number"),
        ("pass_rate >= NaN", "expected a number"),
        ("cost <= 1e999", "expected a number"),
        (
            "pass_rate >= 0.9 and cost < 1",
            "expected a number after the comparator, found \"0.9 and cost < 1\"",
        ),
        (
            "pass_rate >= 95",
            "pass_rate lies between 0 and 1, so comparing it with 95 says nothing; did you mean 95%?",
        ),
        ("error_rate < -0.1", "says nothing"),
        ("cost <= 5%", "% is for rates"),
    ] {
        assert!(problem(text).contains(told), "{text}: {}", problem(text));
    }
}

#[test]
fn every_problem_of_a_gate_is_said_at_once() {
    assert_eq!(Expression::parse("pas_rate >= much").unwrap_err().len(), 2);
}

#[test]
fn every_measure_reads_by_its_name() {
    let mut all: Vec<Measure> = CountMeasure::ALL.iter().map(|of| Measure::Count(*of)).collect();
    all.extend(RateMeasure::ALL.iter().map(|of| Measure::Rate(*of)));
    all.extend(Quantile::ALL.iter().map(|of| Measure::Latency(*of)));
    all.extend(BaselineMeasure::ALL.iter().map(|of| Measure::Baseline(*of)));
    all.extend(
        MetricMeasure::ALL
            .iter()
            .map(|of| Measure::Metric("a b".to_owned(), *of)),
    );
    all.extend([Measure::Cost, Measure::Usage("a.b".to_owned())]);
    for measure in all {
        assert_eq!(parsed(&format!("{measure} <= 0.5")).measure, measure);
    }
}

#[test]
fn comparators_hold_as_they_read() {
    for (comparator, below, same, above) in [
        (Comparator::Ge, false, true, true),
        (Comparator::Le, true, true, false),
        (Comparator::Gt, false, false, true),
        (Comparator::Lt, true, false, false),
        (Comparator::Eq, false, true, false),
        (Comparator::Ne, true, false, true),
    ] {
        let held = [0.5, 1.0, 1.5].map(|number| comparator.holds(number, 1.0));
        assert_eq!(held, [below, same, above], "{comparator:?}");
        assert!(comparator == Comparator::Ne || !comparator.holds(f64::NAN, 1.0));
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused_with_a_sentence(text in "\\PC{0,60}") {
        if let Err(problems) = Expression::parse(&text) {
            prop_assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.is_empty()));
        }
    }

    #[test]
    fn what_was_read_reads_again_as_the_same(
        name in "[a-zA-Z0-9 .>=<%äß_-]{1,12}",
        figure in prop::sample::select(MetricMeasure::ALL),
        comparator in prop::sample::select(&Comparator::ALL[..]),
        bound in prop_oneof![-1e9..1e9f64, 0.0..1.0f64],
    ) {
        let expression = Expression { measure: Measure::Metric(name, figure), comparator, bound };
        prop_assume!(!expression.measure.is_rate() || (0.0..=1.0).contains(&bound));
        prop_assert_eq!(parsed(&expression.to_string()), expression);
    }
}
