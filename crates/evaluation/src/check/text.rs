//! Texts looked for in the output: `contains` and its relatives, `starts-with`, `ends-with`.

use std::borrow::Cow;

use serde_json::Value;
use testfleet_model::configuration::Metric;

use crate::excerpt::{quote, quote_all};
use crate::finding::{Finding, Outcome};
use crate::problem::Problems;
use crate::subject::{Seen, Subject, scalar_text, type_word};

/// Where the text must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
}

/// How many texts there are, and how many of them must be found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantity {
    One,
    Any,
    All,
}

/// Looks for texts, exactly as written or ignoring case (both sides in lower case by Unicode's rules).
#[derive(Debug)]
pub(crate) struct Text {
    place: Place,
    quantity: Quantity,
    fold: bool,
    wanted: Option<Vec<String>>,
}

impl Text {
    pub(super) fn compile(
        metric: &Metric,
        place: Place,
        quantity: Quantity,
        fold: bool,
        problems: &mut Problems,
    ) -> Option<Self> {
        let wanted = match &metric.value {
            None => None,
            Some(value) => Some(problems.take("value", texts(value, quantity))?),
        };
        Some(Self {
            place,
            quantity,
            fold,
            wanted,
        })
    }

    pub(super) fn run(&self, seen: &Seen<'_>, subject: &Subject<'_>) -> Outcome {
        let wanted = match &self.wanted {
            Some(wanted) => Cow::Borrowed(wanted.as_slice()),
            None => Cow::Owned(texts(subject.expected()?, self.quantity)?),
        };
        let output = if self.fold {
            Cow::Owned(seen.text().to_lowercase())
        } else {
            Cow::Borrowed(seen.text())
        };
        let (found, missing): (Vec<_>, Vec<_>) = wanted
            .iter()
            .map(String::as_str)
            .partition(|text| self.is_in(&output, text));
        let holds = match self.quantity {
            Quantity::One | Quantity::All => missing.is_empty(),
            Quantity::Any => !found.is_empty(),
        };
        let does = match (self.place, holds) {
            (Place::Anywhere, true) => "contains",
            (Place::Anywhere, false) => "does not contain",
            (Place::Start, true) => "starts with",
            (Place::Start, false) => "does not start with",
            (Place::End, true) => "ends with",
            (Place::End, false) => "does not end with",
        };
        let any_of = if !holds && self.quantity == Quantity::Any && missing.len() > 1 {
            "any of "
        } else {
            ""
        };
        let shown = quote_all(if holds { found } else { missing }.into_iter());
        Ok(Finding::holds(
            holds,
            format!("the output {} {does} {any_of}{shown}", quote(seen.text())),
        ))
    }

    fn is_in(&self, output: &str, text: &str) -> bool {
        let text = if self.fold {
            Cow::Owned(text.to_lowercase())
        } else {
            Cow::Borrowed(text)
        };
        match self.place {
            Place::Anywhere => output.contains(text.as_ref()),
            Place::Start => output.starts_with(text.as_ref()),
            Place::End => output.ends_with(text.as_ref()),
        }
    }
}

/// The texts of a value. A single one is a list of one where a list is asked for.
fn texts(value: &Value, quantity: Quantity) -> Result<Vec<String>, String> {
    let list = match value {
        Value::Array(_) if quantity == Quantity::One => {
            return Err("must be one text, not a list; for several there are contains-any and contains-all".to_owned());
        }
        Value::Array(list) if list.is_empty() => return Err("the list is empty; name at least one text".to_owned()),
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter()
        .map(|item| match scalar_text(item) {
            None => Err(format!("must be a text, not {}", type_word(item))),
            Some(text) if text.is_empty() => Err("an empty text is in every output; name what to look for".to_owned()),
            Some(text) => Ok(text.into_owned()),
        })
        .collect()
}
