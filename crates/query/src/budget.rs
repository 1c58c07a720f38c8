//! A bound on how much one call may build in memory.
//!
//! Templates and paths can name the same data many times over, so the size of what they give is bounded by
//! counting, not by the size of what goes in.

use serde_json::Value;

/// More was to be built than the bound allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the result is larger than {limit} bytes")]
pub struct OverBudget {
    limit: usize,
}

/// Bytes that may still be built; roughly the size of the JSON text.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    left: usize,
}

impl Budget {
    /// A fresh bound of that many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, left: limit }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Takes bytes off, or refuses.
    pub fn take(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.left = self.left.checked_sub(bytes).ok_or(OverBudget { limit: self.limit })?;
        Ok(())
    }

    /// A copy of the value, within the bound.
    pub fn copy(&mut self, value: &Value) -> Result<Value, OverBudget> {
        Ok(match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.take(8)?;
                value.clone()
            }
            Value::String(text) => {
                self.take(text.len() + 8)?;
                value.clone()
            }
            Value::Array(items) => {
                self.take(8)?;
                Value::Array(items.iter().map(|item| self.copy(item)).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                self.take(8)?;
                let mut copied = serde_json::Map::new();
                for (key, member) in members {
                    self.take(key.len() + 8)?;
                    copied.insert(key.clone(), self.copy(member)?);
                }
                Value::Object(copied)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_copy_is_the_same_or_refused() {
        let value = json!({"a": [1, null, "text"]});
        assert_eq!(Budget::new(100).copy(&value), Ok(value.clone()));
        assert!(Budget::new(20).copy(&value).is_err());
    }
}
