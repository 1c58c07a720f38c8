//! Which tests a gate is about: `tag:area=refunds`.

use std::collections::BTreeMap;
use std::fmt;

/// Tests with a tag: `tag:KEY=VALUE` for those that have this value, `tag:KEY` for those that have any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    key: String,
    value: Option<String>,
}

/// Why a text is no filter; a fragment that says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected tag:KEY=VALUE, or tag:KEY for any value of it, found {0:?}")]
pub struct FilterProblem(String);

impl Filter {
    /// Reads the text of a filter.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, FilterProblem> {
        let problem = || FilterProblem(text.to_owned());
        let tag = text.trim().strip_prefix("tag:").ok_or_else(problem)?;
        let (key, value) = match tag.split_once('=') {
            Some((key, value)) => (key.trim(), Some(value.trim().to_owned())),
            None => (tag.trim(), None),
        };
        if key.is_empty() || value.as_deref().is_some_and(str::is_empty) {
            return Err(problem());
        }
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }

    /// The tag that it looks at.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether a test with these tags is meant.
    #[must_use]
    pub fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        tags.get(&self.key)
            .is_some_and(|found| self.value.as_ref().is_none_or(|wanted| wanted == found))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tag:{}", self.key)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_means_a_value_or_any_value_of_a_tag() {
        let tags = BTreeMap::from([
            ("area".to_owned(), "refunds".to_owned()),
            ("url".to_owned(), "a=b".to_owned()),
        ]);
        for (text, matches) in [
            ("tag:area=refunds", true),
            (" tag: area = refunds ", true),
            ("tag:area=tone", false),
            ("tag:area", true),
            ("tag:lang", false),
            ("tag:url=a=b", true),
        ] {
            let filter = Filter::parse(text).unwrap();
            assert_eq!(filter.matches(&tags), matches, "{text}");
            assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
        }
        for text in ["area=refunds", "tag:", "tag:=x", "tag:a=", "status:failed", ""] {
            let problem = Filter::parse(text).unwrap_err().to_string();
            assert!(problem.starts_with("expected tag:KEY=VALUE"), "{problem}");
        }
    }
}
