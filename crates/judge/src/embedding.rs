//! What an embeddings response says.

use serde_json::Value;

use crate::error::{AskErrorKind, excerpt};

/// The vectors of a response, in the order of the texts.
///
/// # Errors
/// When they are not one for each of `texts` texts, or not numbers.
pub(crate) fn vectors(body: &Value, texts: usize) -> Result<Vec<Value>, AskErrorKind> {
    let foreign = || AskErrorKind::Foreign {
        what: "list of embeddings, one for each text",
        excerpt: excerpt(&body.to_string()),
    };
    let data = body.get("data").and_then(Value::as_array).ok_or_else(foreign)?;
    let mut vectors: Vec<Option<Value>> = vec![None; texts];
    for (place, item) in data.iter().enumerate() {
        let index = match item.get("index") {
            Some(index) => index
                .as_u64()
                .and_then(|index| usize::try_from(index).ok())
                .ok_or_else(foreign)?,
            None => place,
        };
        let vector = item
            .get("embedding")
            .filter(|vector| is_vector(vector))
            .ok_or_else(foreign)?;
        let slot = vectors
            .get_mut(index)
            .filter(|slot| slot.is_none())
            .ok_or_else(foreign)?;
        *slot = Some(vector.clone());
    }
    vectors.into_iter().collect::<Option<Vec<_>>>().ok_or_else(foreign)
}

fn is_vector(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|parts| !parts.is_empty() && parts.iter().all(Value::is_number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn vectors_are_those_of_the_texts() {
        let body = json!({"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]});
        assert_eq!(vectors(&body, 2).unwrap(), [json!([1]), json!([2])]);
        for (body, texts) in [
            (&body, 1),
            (&body, 3),
            (&json!({"data": [{"index": 0, "embedding": "AAAA"}]}), 1),
            (&json!({"data": [{"index": 0, "embedding": []}]}), 1),
            (
                &json!({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}),
                2,
            ),
            (&json!({"error": "no"}), 1),
        ] {
            assert!(vectors(body, texts).is_err(), "{body} {texts}");
        }
    }
}
