//! Every kind that asks, at the stub's judge, which judges by the words it sees.

use serde_json::{Value, json};

use crate::fixture::{evaluate, stub};

#[tokio::test]
async fn every_kind_is_judged_by_its_own_prompt() {
    let stub = stub();
    let url = format!("{}/judge/v1", stub.url());
    let good = "A kettle can be returned within 30 days.";
    let cases: [(Value, &str, Option<bool>); 20] = [
        (
            json!({"type": "llm-rubric", "value": "returned within days"}),
            good,
            Some(true),
        ),
        (
            json!({"type": "llm-rubric", "value": "returned within days"}),
            "No.",
            Some(false),
        ),
        (
            json!({"type": "g-eval", "value": "returned within days"}),
            good,
            Some(true),
        ),
        (
            json!({"type": "g-eval", "value": "returned within days"}),
            "No.",
            Some(false),
        ),
        (
            json!({"type": "judge", "value": "returned within days", "min": 1, "max": 5, "threshold": 4}),
            good,
            Some(true),
        ),
        (
            json!({"type": "judge", "value": "returned within days", "min": 1, "max": 5, "threshold": 4}),
            "No.",
            Some(false),
        ),
        (
            json!({"type": "judge", "value": "Material?", "categories": ["kettle", "pot"], "passing_categories": ["pot"]}),
            good,
            Some(false),
        ),
        (
            json!({"type": "judge", "value": "Material?", "categories": ["kettle", "pot"], "passing_categories": ["kettle"]}),
            good,
            Some(true),
        ),
        (
            json!({"type": "factuality", "value": "returned within 30 days"}),
            good,
            Some(true),
        ),
        (
            json!({"type": "factuality", "value": "returned within 30 days"}),
            "Never.",
            Some(false),
        ),
        (
            json!({"type": "answer-relevancy", "threshold": 0.9}),
            "The kettle? Send it.",
            Some(false),
        ),
        (
            json!({"type": "answer-relevancy", "threshold": 0.9}),
            "A kettle is fine to return.",
            Some(true),
        ),
        (json!({"type": "faithfulness", "threshold": 0.9}), good, Some(true)),
        (
            json!({"type": "faithfulness", "threshold": 0.9}),
            "A kettle can be returned within 30 days. Elephants dance beautifully.",
            Some(false),
        ),
        (
            json!({"type": "contextual-precision", "threshold": 0.9}),
            good,
            Some(true),
        ),
        (
            json!({"type": "contextual-precision", "value": "Shipping is free."}),
            good,
            Some(true),
        ),
        (
            json!({"type": "contextual-recall", "value": "Returned within 30 days. Elephants dance.", "threshold": 0.9}),
            good,
            Some(false),
        ),
        (
            json!({"type": "contextual-recall", "value": "Returned within 30 days."}),
            good,
            Some(true),
        ),
        // One of the two documents is about what was asked.
        (
            json!({"type": "contextual-relevancy", "threshold": 0.5}),
            good,
            Some(true),
        ),
        (
            json!({"type": "contextual-relevancy", "threshold": 0.6}),
            good,
            Some(false),
        ),
    ];
    for (metric, output, expected) in cases {
        let result = evaluate(&url, "judge", json!({}), metric.clone(), output).await;
        assert_eq!(result.is_successful, expected, "{metric} of {output:?}: {result:?}");
    }
}
