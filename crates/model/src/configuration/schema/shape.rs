//! What schemas are made of: values as the readers of `reading/field.rs` take them, keys, and mappings of keys.

use serde_json::{Map, Value, json};

/// Units of durations, the longest first.
const UNITS: &str = "nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y";

/// A text.
pub(super) fn text() -> Value {
    json!({"type": "string"})
}

/// A text with something other than white space in it.
pub(super) fn filled() -> Value {
    json!({"type": "string", "pattern": "\\S"})
}

/// `true` or `false`.
pub(super) fn flag() -> Value {
    json!({"type": "boolean"})
}

/// A whole number from 1.
pub(super) fn count() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": u32::MAX})
}

/// The same, of any size.
pub(super) fn large_count() -> Value {
    json!({"type": "integer", "minimum": 1})
}

/// A whole number from 1 to a largest one.
pub(super) fn count_to(most: u32) -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": most})
}

/// A number from 0 to 1.
pub(super) fn share() -> Value {
    json!({"type": "number", "minimum": 0, "maximum": 1})
}

/// A number of at least 0.
pub(super) fn amount() -> Value {
    json!({"type": "number", "minimum": 0})
}

/// A number of more than 0.
pub(super) fn positive() -> Value {
    json!({"type": "number", "exclusiveMinimum": 0})
}

/// A name that becomes part of a key.
pub(super) fn plain_name() -> Value {
    json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"})
}

/// One of some words.
pub(super) fn word(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// What can be called.
pub(super) fn url() -> Value {
    json!({"type": "string", "anyOf": [
        {"pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/\\s]\\S*$"},
        {"pattern": "\\{\\{"},
    ]})
}

/// A mapping with any keys and values.
pub(super) fn anything_by_name() -> Value {
    json!({"type": "object"})
}

/// A mapping with any keys, and values of one shape.
pub(super) fn by_name(value: Value) -> Value {
    json!({"type": "object", "additionalProperties": value})
}

/// A list.
pub(super) fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// A list with something in it.
pub(super) fn filled_list(items: Value) -> Value {
    json!({"type": "array", "items": items, "minItems": 1})
}

/// One, or a list of them.
pub(super) fn one_or_list(item: Value) -> Value {
    json!({"anyOf": [item, list(item.clone())]})
}

/// What is defined under a name in `$defs`.
pub(super) fn defined(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// A duration with a unit, more than nothing.
pub(super) fn duration() -> Value {
    let pattern = format!("^\\s*(?=[\\s\\S]*[1-9])([0-9]+(\\.[0-9]+)?\\s*({UNITS})\\s*)+$");
    json!({
        "type": "string", "pattern": pattern,
        "description": "A duration with a unit: `250ms`, `30s`, `5m`, `1h 30m`.",
        "examples": ["250ms", "30s", "5m", "1h 30m"],
    })
}

/// Where something is in a response.
pub(super) fn mapping_text() -> Value {
    json!({
        "type": "string", "anyOf": [{"pattern": "^\\$"}, {"pattern": "\\{\\{"}],
        "description": "A JSONPath (RFC 9535) that starts with `$`, or a template with `{{ … }}`.",
        "examples": ["$.answer", "{{ body.answer | trim }}"],
    })
}

/// `300/m`, or a mapping.
pub(super) fn rate() -> Value {
    let text = json!({
        "type": "string",
        "pattern": format!("^\\s*[0-9]*[1-9][0-9]*\\s*/\\s*([0-9]+(\\.[0-9]+)?\\s*)?({UNITS})"),
        "examples": ["50/s", "300/m", "1000/h", "10/250ms"],
    });
    let keys = Mapping::of(vec![
        Key::new("count", large_count(), "How many in the time `per`.").required(),
        Key::new("per", defined("duration"), "The time, at most 24 hours.").required(),
        Key::new("burst", large_count(), "As many at once after a quiet time."),
    ]);
    json!({
        "anyOf": [text, keys.schema()],
        "description": "How many in a time: `50/s`, `300/m`, `1000/h`, `10/250ms`, or a mapping of `count`, `per` and `burst`.",
    })
}

/// Statuses that are answers.
pub(super) fn statuses() -> Value {
    let code = json!({"type": "integer", "minimum": 100, "maximum": 599});
    let stored = Mapping::of(vec![
        Key::new("first", code.clone(), "The first status of a range.").required(),
        Key::new("last", code.clone(), "The last status of a range.").required(),
    ]);
    let item = json!({"anyOf": [
        code,
        {"type": "string", "pattern": "^\\s*[1-5][0-9][0-9]\\s*(-\\s*[1-5][0-9][0-9]\\s*)?$"},
        stored.schema(),
    ]});
    json!({"anyOf": [item, filled_list(item.clone())]})
}

/// One key of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    shape: Value,
    says: String,
    default: Option<Value>,
    required: bool,
}

impl Key {
    /// An optional key; `says` is what editors show.
    pub(super) fn new(name: &'static str, shape: Value, says: impl Into<String>) -> Self {
        Self {
            name,
            shape,
            says: says.into(),
            default: None,
            required: false,
        }
    }

    /// The second name of another key.
    pub(super) fn alias(name: &'static str, of: &'static str, shape: Value) -> Self {
        Self::new(name, shape, format!("Another name of `{of}`."))
    }

    /// What holds where the key is not there.
    pub(super) fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// The key has to be there.
    pub(super) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    fn schema(&self) -> Value {
        // Nothing (`key:`) is as good as no key, unless the key has to be there.
        let mut schema = if self.required {
            self.shape.clone()
        } else {
            or_nothing(self.shape.clone())
        };
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), self.says.clone().into());
            if let Some(default) = &self.default {
                schema.insert("default".to_owned(), default.clone());
            }
        }
        schema
    }
}

/// The same shape, or null.
pub(super) fn or_nothing(shape: Value) -> Value {
    match &shape {
        Value::Object(known) if known.is_empty() => shape,
        Value::Object(known) if known.get("type").is_some_and(Value::is_string) => {
            let mut known = known.clone();
            let own = known.get("type").cloned().unwrap_or_default();
            known.insert("type".to_owned(), json!([own, "null"]));
            if let Some(Value::Array(words)) = known.get_mut("enum") {
                words.push(Value::Null);
            }
            if known.contains_key("anyOf") {
                return json!({"anyOf": [shape, {"type": "null"}]});
            }
            Value::Object(known)
        }
        _ => json!({"anyOf": [shape, {"type": "null"}]}),
    }
}

/// A mapping of known keys; no other key may be there.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    keys: Vec<Key>,
    cases: Vec<Case>,
    /// What `type` is when it is not there.
    default: Option<&'static str>,
    any_of: Vec<&'static str>,
}

/// What holds for some words under `type`.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) words: Vec<String>,
    pub(super) keys: Vec<Key>,
    /// More that has to hold, as a schema.
    pub(super) also: Option<Value>,
}

impl Mapping {
    /// A mapping of these keys.
    pub(super) fn of(keys: Vec<Key>) -> Self {
        Self {
            keys,
            cases: Vec::new(),
            default: None,
            any_of: Vec::new(),
        }
    }

    /// A mapping whose `type` decides which more keys it has.
    pub(super) fn by_type(keys: Vec<Key>, default: Option<&'static str>, cases: Vec<Case>) -> Self {
        Self {
            cases,
            default,
            ..Self::of(keys)
        }
    }

    /// One of these keys has to be there.
    pub(super) fn with_one_of(mut self, keys: &[&'static str]) -> Self {
        self.any_of = keys.to_vec();
        self
    }

    /// The schema.
    pub(super) fn schema(&self) -> Value {
        let mut properties = Map::new();
        let mut differs = Vec::new();
        for key in self.keys.iter().chain(self.cases.iter().flat_map(|case| &case.keys)) {
            let schema = key.schema();
            match properties.get(key.name) {
                None => {
                    properties.insert(key.name.to_owned(), schema);
                }
                Some(known) if *known == schema => {}
                Some(_) => differs.push(key.name),
            }
        }
        // Where the type decides the shape of a key, its cases say it, and the description is that of the first one.
        for name in &differs {
            if let Some(known) = properties.get_mut(*name) {
                let description = known.get("description").cloned().unwrap_or_default();
                *known = json!({"description": description});
            }
        }
        let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
        let required: Vec<&str> = self
            .keys
            .iter()
            .filter(|key| key.required)
            .map(|key| key.name)
            .collect();
        let Some(object) = schema.as_object_mut() else {
            return schema;
        };
        if !required.is_empty() {
            object.insert("required".to_owned(), json!(required));
        }
        if !self.any_of.is_empty() {
            let any: Vec<Value> = self.any_of.iter().map(|key| json!({"required": [key]})).collect();
            object.insert("anyOf".to_owned(), json!(any));
        }
        if !self.cases.is_empty() {
            let cases: Vec<Value> = self.cases.iter().map(|case| self.case(case, &differs)).collect();
            object.insert("allOf".to_owned(), json!(cases));
        }
        schema
    }

    fn case(&self, case: &Case, differs: &[&str]) -> Value {
        let mut words: Vec<Value> = case.words.iter().map(|word| json!(word)).collect();
        let is_default = self
            .default
            .is_some_and(|default| case.words.iter().any(|word| word == default));
        if is_default {
            words.push(Value::Null);
        }
        let mut when = json!({"properties": {"type": {"enum": words}}});
        if !is_default && let Some(when) = when.as_object_mut() {
            when.insert("required".to_owned(), json!(["type"]));
        }
        let names: Vec<&str> = self.keys.iter().chain(&case.keys).map(|key| key.name).collect();
        let required: Vec<&str> = case
            .keys
            .iter()
            .filter(|key| key.required)
            .map(|key| key.name)
            .collect();
        let own: Map<String, Value> = case
            .keys
            .iter()
            .filter(|key| differs.contains(&key.name))
            .map(|key| (key.name.to_owned(), key.schema()))
            .collect();
        let mut then = Map::new();
        then.insert("propertyNames".to_owned(), json!({"enum": names}));
        if !required.is_empty() {
            then.insert("required".to_owned(), json!(required));
        }
        if !own.is_empty() {
            then.insert("properties".to_owned(), Value::Object(own));
        }
        if let Some(also) = &case.also {
            then.insert("allOf".to_owned(), json!([also]));
        }
        json!({"if": when, "then": then})
    }
}
