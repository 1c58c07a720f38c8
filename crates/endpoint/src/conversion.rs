//! Between JSON and the values of templates, without changing anything on the way.

use std::borrow::Cow;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};
use serde_json::Value as Json;
use testfleet_query::Budget;

/// The most that one value may take as text inside a template, in bytes.
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// How deep a value may be nested.
const MAX_DEPTH: usize = 128;

/// A JSON value for templates.
pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(from_json).collect::<Vec<_>>()),
        Json::Object(members) => {
            Value::from_pairs(members.iter().map(|(key, member)| (key.as_str(), from_json(member))))
        }
    }
}

/// A template's value as JSON, within a bound.
pub(crate) fn to_json(value: &Value, budget: &mut Budget) -> Result<Json, String> {
    convert(value, budget, 0)
}

fn convert(value: &Value, budget: &mut Budget, depth: usize) -> Result<Json, String> {
    if depth > MAX_DEPTH {
        return Err(format!("the value is nested deeper than {MAX_DEPTH}"));
    }
    let mut take = |bytes: usize| budget.take(bytes).map_err(|error| error.to_string());
    match value.kind() {
        ValueKind::Undefined => Err("a value inside a list or map is undefined".into()),
        ValueKind::None => Ok(Json::Null),
        ValueKind::Bool => Ok(Json::Bool(value.is_true())),
        ValueKind::Number => {
            take(8)?;
            number(value)
        }
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            take(text.len() + 8)?;
            Ok(Json::String(text.to_owned()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            take(8)?;
            let items = value.try_iter().map_err(|error| error.to_string())?;
            let items = items.map(|item| convert(&item, budget, depth + 1));
            Ok(Json::Array(items.collect::<Result<_, _>>()?))
        }
        ValueKind::Map => {
            take(8)?;
            let mut members = serde_json::Map::new();
            for key in value.try_iter().map_err(|error| error.to_string())? {
                let member = value.get_item(&key).map_err(|error| error.to_string())?;
                let key = text(&key).map_err(|error| error.to_string())?.into_owned();
                budget.take(key.len() + 8).map_err(|error| error.to_string())?;
                members.insert(key, convert(&member, budget, depth + 1)?);
            }
            Ok(Json::Object(members))
        }
        kind => Err(format!("a value of kind {kind} has no JSON form")),
    }
}

fn number(value: &Value) -> Result<Json, String> {
    if value.is_integer() {
        if let Ok(number) = i64::try_from(value.clone()) {
            return Ok(Json::from(number));
        }
        return u64::try_from(value.clone())
            .map(Json::from)
            .map_err(|_| format!("the number {value} is larger than JSON numbers of 64 bits"));
    }
    f64::try_from(value.clone())
        .ok()
        .and_then(serde_json::Number::from_f64)
        .map(Json::Number)
        .ok_or_else(|| format!("the number {value} has no JSON form"))
}

/// How a value is written inside a text: strings as they are, everything else as JSON.
pub(crate) fn text(value: &Value) -> Result<Cow<'_, str>, Error> {
    match value.as_str() {
        Some(text) => Ok(Cow::Borrowed(text)),
        None => json_text(value).map(Cow::Owned),
    }
}

/// The value as compact JSON text.
pub(crate) fn json_text(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    to_json(value, &mut Budget::new(MAX_TEXT))
        .map(|json| json.to_string())
        .map_err(|message| Error::new(ErrorKind::InvalidOperation, message))
}
