//! Which options a kind of metric takes. An option that would be read and ignored is refused.

use testfleet_model::configuration::{Metric, MetricKind, Severity};

use crate::problem::Problems;

#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each option")]
struct Takes {
    value: bool,
    threshold: bool,
    operator: bool,
    limits: bool,
    schema: bool,
    path: bool,
    header: bool,
    n: bool,
    metrics: bool,
    transform: bool,
    model: bool,
    samples: bool,
    steps: bool,
    categories: bool,
    passing_categories: bool,
    prompt: bool,
    webhook: bool,
}

fn takes(kind: MetricKind) -> Takes {
    use MetricKind as K;
    let none = Takes::default();
    match kind {
        K::Equals
        | K::Contains
        | K::Icontains
        | K::ContainsAny
        | K::ContainsAll
        | K::IcontainsAny
        | K::IcontainsAll
        | K::StartsWith
        | K::EndsWith
        | K::Regex
        | K::OneOf
        | K::JsonSubset => Takes {
            value: true,
            transform: true,
            ..none
        },
        K::WordCount | K::Length => Takes {
            threshold: true,
            operator: true,
            limits: true,
            transform: true,
            ..none
        },
        K::IsRefusal | K::IsXml => Takes {
            transform: true,
            ..none
        },
        K::IsJson | K::ContainsJson => Takes {
            schema: true,
            transform: true,
            ..none
        },
        K::Jsonpath => Takes {
            path: true,
            value: true,
            operator: true,
            transform: true,
            ..none
        },
        K::StatusCode | K::FinishReason => Takes { value: true, ..none },
        K::GoalReached => none,
        K::Header => Takes {
            header: true,
            value: true,
            operator: true,
            ..none
        },
        K::Latency | K::Ttft | K::TotalTime | K::Cost | K::Tokens | K::Attempts => Takes {
            threshold: true,
            operator: true,
            ..none
        },
        K::Levenshtein
        | K::NormalizedLevenshtein
        | K::JaroWinkler
        | K::RougeN
        | K::RougeL
        | K::Bleu
        | K::F1
        | K::ToolCallF1 => Takes {
            value: true,
            threshold: true,
            operator: true,
            n: kind == K::RougeN,
            transform: true,
            ..none
        },
        K::Similar => Takes {
            value: true,
            threshold: true,
            operator: true,
            model: true,
            transform: true,
            ..none
        },
        K::LlmRubric | K::GEval => Takes {
            value: true,
            threshold: true,
            operator: kind == K::GEval,
            model: true,
            samples: true,
            steps: kind == K::GEval,
            prompt: true,
            transform: true,
            ..none
        },
        K::Judge => Takes {
            value: true,
            threshold: true,
            operator: true,
            limits: true,
            model: true,
            samples: true,
            categories: true,
            passing_categories: true,
            prompt: true,
            transform: true,
            ..none
        },
        K::Factuality => Takes {
            value: true,
            model: true,
            samples: true,
            passing_categories: true,
            prompt: true,
            transform: true,
            ..none
        },
        K::AnswerRelevancy
        | K::Faithfulness
        | K::ContextualPrecision
        | K::ContextualRecall
        | K::ContextualRelevancy => Takes {
            value: matches!(kind, K::ContextualPrecision | K::ContextualRecall),
            threshold: true,
            operator: true,
            model: true,
            samples: true,
            // The others look at the context, and not at the output.
            transform: matches!(kind, K::AnswerRelevancy | K::Faithfulness),
            ..none
        },
        K::Webhook => Takes {
            value: true,
            threshold: true,
            webhook: true,
            transform: true,
            ..none
        },
        K::AssertSet => Takes {
            threshold: true,
            metrics: true,
            transform: true,
            ..none
        },
    }
}

/// Refuses options the kind does not take, and values no kind takes.
pub(crate) fn check(metric: &Metric, problems: &mut Problems) {
    let takes = takes(metric.kind);
    let given = [
        ("value", metric.value.is_some(), takes.value),
        ("threshold", metric.threshold.is_some(), takes.threshold),
        ("operator", metric.operator.is_some(), takes.operator),
        ("min", metric.min.is_some(), takes.limits),
        ("max", metric.max.is_some(), takes.limits),
        ("schema", metric.schema.is_some(), takes.schema),
        ("path", metric.path.is_some(), takes.path),
        ("header", metric.header.is_some(), takes.header),
        ("n", metric.n.is_some(), takes.n),
        ("metrics", !metric.metrics.is_empty(), takes.metrics),
        ("transform", metric.transform.is_some(), takes.transform),
        ("model", metric.model.is_some(), takes.model),
        ("samples", metric.samples.is_some(), takes.samples),
        ("aggregate", metric.aggregate.is_some(), takes.samples),
        ("steps", !metric.steps.is_empty(), takes.steps),
        ("categories", !metric.categories.is_empty(), takes.categories),
        (
            "passing_categories",
            !metric.passing_categories.is_empty(),
            takes.passing_categories,
        ),
        ("prompt", metric.prompt.is_some(), takes.prompt),
        ("url", metric.url.is_some(), takes.webhook),
        ("headers", !metric.headers.is_empty(), takes.webhook),
        ("timeouts", metric.timeouts.is_some(), takes.webhook),
        ("retry", metric.retry.is_some(), takes.webhook),
    ];
    for (key, given, taken) in given {
        if given && !taken {
            problems.add(key, format!("{} takes no {key}; remove it", metric.kind.word()));
        }
    }
    if !(metric.weight.is_finite() && metric.weight > 0.0) {
        problems.add("weight", format!("must be more than 0, not {}", metric.weight));
    }
    if metric.required && metric.severity == Severity::Warn {
        problems.add(
            "required",
            "a metric with severity warn counts for nothing, so it cannot be required; drop one of the two",
        );
    }
}
