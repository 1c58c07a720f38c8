//! Where the fields of a result are in a response.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use minijinja::Value;
use serde_json::{Map, Value as Json};
use testfleet_model::configuration::{Endpoint, ResponseFormat, TestCase};
use testfleet_query::{Budget, Path};

use crate::call::Used;
use crate::conversation::{id_of, places};
use crate::conversion::from_json;
use crate::language::{Scope, is_template};
use crate::problem::CompileProblem;
use crate::template::Template;
use crate::tool_call::ToolCalls;

/// The most that the mapped fields of one response may take together, in bytes.
const MAX_MAPPED: usize = 4 * 1024 * 1024;
/// The field whose pieces a stream puts together.
const TOOL_CALLS: &str = "tool_calls";

/// A response as mappings see it.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// The body; a string when it is text. Of an event, its data; null when it is no JSON.
    pub(crate) body: &'a Json,
    pub(crate) text: &'a str,
    /// The type of an event.
    pub(crate) event: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) headers: &'a BTreeMap<String, String>,
    /// Made when the first template asks for it, since most configurations have paths only.
    pub(crate) variables: OnceCell<Value>,
}

impl Document<'_> {
    /// `body`, `text`, `event`, `status` and `headers`, for templates.
    pub(crate) fn variables(&self) -> &Value {
        self.variables.get_or_init(|| {
            Value::from_pairs([
                ("body", from_json(self.body)),
                ("text", Value::from(self.text)),
                ("event", self.event.map_or(Value::UNDEFINED, Value::from)),
                ("status", Value::from(self.status)),
                ("headers", Value::from_pairs(self.headers)),
            ])
        })
    }
}

/// One mapping: JSONPath over the body, or a template.
#[derive(Debug)]
pub(crate) enum Mapping {
    Path(Path),
    Template(Box<Template>),
}

impl Mapping {
    /// Compiles a mapping, or says what is wrong with it.
    pub(crate) fn compile(source: &str, format: ResponseFormat) -> Result<Self, String> {
        if source.starts_with('$') {
            if format == ResponseFormat::Text {
                return Err("a JSONPath needs `response.format: json`; for text use a template over `text`".into());
            }
            return Path::compile(source).map(Self::Path);
        }
        if is_template(source) {
            return Template::compile(source, &scope(format)).map(|template| Self::Template(Box::new(template)));
        }
        Err(format!(
            "{source:?} is neither a JSONPath (`$.field`) nor a template (`{{{{ body.field }}}}`)"
        ))
    }

    /// What it gives; `None` when a path selects nothing or a template is undefined.
    pub(crate) fn apply(&self, document: &Document<'_>, budget: &mut Budget) -> Result<Option<Json>, String> {
        match self {
            Self::Path(path) => path.select(document.body, budget),
            Self::Template(template) => template.value(document.variables(), budget),
        }
    }
}

/// What the templates of a response see.
pub(crate) fn scope(format: ResponseFormat) -> Scope {
    if format.is_stream() {
        Scope::Event
    } else {
        Scope::Response
    }
}

/// All mappings of a response.
#[derive(Debug, Default)]
pub(crate) struct Mappings {
    output: Option<Mapping>,
    /// As it is written, for errors.
    output_source: String,
    fields: Vec<(String, Mapping)>,
    usage: Vec<(String, Mapping)>,
    /// Where the id of a conversation may be that no field is mapped to.
    conversation: Vec<Mapping>,
}

/// The field that names a conversation.
const CONVERSATION: &str = "conversation_id";

/// What the mappings gave.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) output: Json,
    pub(crate) fields: Map<String, Json>,
    pub(crate) usage: BTreeMap<String, f64>,
    pub(crate) cost: Option<f64>,
    pub(crate) conversation_id: Option<String>,
}

/// What the events of a stream gave so far: of each mapping the last that was something.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) output: Option<Json>,
    fields: Map<String, Json>,
    tool_calls: ToolCalls,
    usage: BTreeMap<String, f64>,
    cost: Option<f64>,
    conversation_id: Option<String>,
}

impl Gathered {
    /// Bytes that calls of tools take.
    pub(crate) fn held(&self) -> usize {
        self.tool_calls.held()
    }

    /// What was used, as far as events said so.
    pub(crate) fn used(&self) -> Used {
        Used {
            usage: self.usage.clone(),
            cost: self.cost,
        }
    }

    /// The answer, where `text` are the pieces of the stream; nothing when it has neither text nor tool calls.
    pub(crate) fn finish(mut self, text: Option<Json>) -> Option<Mapped> {
        let called = self.tool_calls.finish();
        let output = self.output.or(text);
        // An answer may call tools and say nothing.
        let output = output.or_else(|| called.as_ref().map(|_| Json::String(String::new())))?;
        if let Some(called) = called {
            self.fields.insert(TOOL_CALLS.to_owned(), called);
        }
        Some(Mapped {
            output,
            conversation_id: self.fields.get(CONVERSATION).and_then(id_of).or(self.conversation_id),
            fields: self.fields,
            usage: self.usage,
            cost: self.cost,
        })
    }
}

impl Mappings {
    /// Compiles the mappings of a configuration; every problem is reported with its key.
    pub(crate) fn compile(endpoint: &Endpoint, problems: &mut Vec<CompileProblem>) -> Self {
        let (map, format) = (&endpoint.response.map, endpoint.response.format);
        let mut compile = |key: String, source: &str| match Mapping::compile(source, format) {
            Ok(mapping) => Some(mapping),
            Err(message) => {
                problems.push(CompileProblem::new(format!("endpoint.response.map.{key}"), message));
                None
            }
        };
        Self {
            output: map.output.as_ref().and_then(|source| compile("output".into(), source)),
            output_source: map.output.clone().unwrap_or_default(),
            fields: map
                .fields
                .iter()
                .filter_map(|(name, source)| Some((name.clone(), compile(name.clone(), source)?)))
                .collect(),
            usage: map
                .usage
                .iter()
                .filter_map(|(name, source)| Some((name.clone(), compile(format!("usage.{name}"), source)?)))
                .collect(),
            conversation: places(&endpoint.conversation, map.fields.contains_key(CONVERSATION), format),
        }
    }

    /// Maps a response. Without a mapping for it, the output is the whole body.
    ///
    /// `usage` and `cost` are numbers, or texts that are numbers; where there is nothing or null they are left out,
    /// and anything else is an error, since a wrong mapping would otherwise pass for "no tokens".
    pub(crate) fn apply(&self, document: &Document<'_>) -> Result<Mapped, String> {
        let mut budget = Budget::new(MAX_MAPPED);
        let mut apply = |key: &str, mapping: &Mapping| apply(key, mapping, document, &mut budget);
        let output = match &self.output {
            Some(mapping) => apply("output", mapping)?,
            None => Some(document.body.clone()),
        };
        let mut fields = Map::new();
        for (name, mapping) in &self.fields {
            if let Some(value) = apply(name, mapping)? {
                fields.insert(name.clone(), value);
            }
        }
        // An answer may call tools and say nothing.
        let calls = || matches!(fields.get(TOOL_CALLS), Some(Json::Array(calls)) if !calls.is_empty());
        let output = match output {
            Some(output) if !output.is_null() => output,
            _ if calls() => Json::String(String::new()),
            None => {
                return Err(format!(
                    "response.map.output selects nothing in the response: {}",
                    self.output_source
                ));
            }
            Some(_) => return Err("the output of the response is null".into()),
        };
        let mut usage = BTreeMap::new();
        for (name, mapping) in &self.usage {
            let key = format!("usage.{name}");
            if let Some(number) = apply(&key, mapping)?
                .as_ref()
                .map_or(Ok(None), |value| number(&key, value))?
            {
                usage.insert(name.clone(), number);
            }
        }
        let cost = fields.get("cost").map_or(Ok(None), |value| number("cost", value))?;
        let conversation_id = match fields.get(CONVERSATION) {
            Some(Json::Null) | None => None,
            Some(value) => Some(id_of(value).ok_or("response.map.conversation_id gives no text or number")?),
        };
        let conversation_id = conversation_id.or_else(|| self.named(document));
        Ok(Mapped {
            conversation_id,
            output,
            fields,
            usage,
            cost,
        })
    }

    /// Whether there is one for the output.
    pub(crate) fn has_output(&self) -> bool {
        self.output.is_some()
    }

    /// Maps an event of a stream. What it has nothing for stays as it was.
    pub(crate) fn gather(&self, document: &Document<'_>, gathered: &mut Gathered) -> Result<(), String> {
        let mut budget = Budget::new(MAX_MAPPED);
        let mut apply = |key: &str, mapping: &Mapping| {
            Ok::<_, String>(apply(key, mapping, document, &mut budget)?.filter(|value| !value.is_null()))
        };
        if let Some(mapping) = &self.output
            && let Some(output) = apply("output", mapping)?
        {
            gathered.output = Some(output);
        }
        if let Some(id) = self.named(document) {
            gathered.conversation_id = Some(id);
        }
        for (name, mapping) in &self.fields {
            match apply(name, mapping)? {
                Some(pieces) if name == TOOL_CALLS => gathered.tool_calls.add(pieces)?,
                Some(value) => {
                    if name == "cost" {
                        gathered.cost = number(name, &value)?;
                    }
                    gathered.fields.insert(name.clone(), value);
                }
                None => {}
            }
        }
        for (name, mapping) in &self.usage {
            let key = format!("usage.{name}");
            if let Some(value) = apply(&key, mapping)?
                && let Some(number) = number(&key, &value)?
            {
                gathered.usage.insert(name.clone(), number);
            }
        }
        Ok(())
    }

    /// The conversation that a response belongs to, by one of the names that are looked for. Best effort.
    fn named(&self, document: &Document<'_>) -> Option<String> {
        self.conversation.iter().find_map(|mapping| {
            let found = mapping.apply(document, &mut Budget::new(MAX_MAPPED));
            found.ok().flatten().as_ref().and_then(id_of)
        })
    }

    /// What a response that is no answer says it used. Best effort: what cannot be read is left out.
    pub(crate) fn used(&self, document: &Document<'_>) -> Used {
        let mut budget = Budget::new(MAX_MAPPED);
        let mut read = |key: &str, mapping: &Mapping| {
            let value = mapping.apply(document, &mut budget).ok()??;
            number(key, &value).ok()?
        };
        let usage = self.usage.iter();
        Used {
            usage: usage
                .filter_map(|(name, mapping)| Some((name.clone(), read(name, mapping)?)))
                .collect(),
            cost: self
                .fields
                .iter()
                .find(|(name, _)| name == "cost")
                .and_then(|(name, mapping)| read(name, mapping)),
        }
    }

    /// What the response says about its own error, where a field `error` is mapped. Best effort: used in messages.
    pub(crate) fn said(&self, document: &Document<'_>) -> Option<String> {
        let (_, mapping) = self.fields.iter().find(|(name, _)| name == "error")?;
        match mapping.apply(document, &mut Budget::new(MAX_MAPPED)) {
            Ok(Some(Json::String(text))) => Some(text),
            Ok(None | Some(Json::Null)) | Err(_) => None,
            Ok(Some(value)) => Some(value.to_string()),
        }
    }
}

fn apply(key: &str, mapping: &Mapping, document: &Document<'_>, budget: &mut Budget) -> Result<Option<Json>, String> {
    mapping
        .apply(document, budget)
        .map_err(|message| format!("response.map.{key} could not be applied: {message}"))
}

fn number(key: &str, value: &Json) -> Result<Option<f64>, String> {
    let number = match value {
        Json::Null => return Ok(None),
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match number.filter(|number: &f64| number.is_finite()) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("response.map.{key} gives no number")),
    }
}

/// Compiles the captures of a test.
pub(crate) fn captures(test: &TestCase, format: ResponseFormat) -> Vec<(String, Result<Mapping, String>)> {
    compiled(&test.capture, format)
}

/// Compiles captures, by name.
pub(crate) fn compiled(
    captures: &BTreeMap<String, String>,
    format: ResponseFormat,
) -> Vec<(String, Result<Mapping, String>)> {
    captures
        .iter()
        .map(|(name, source)| (name.clone(), Mapping::compile(source, format)))
        .collect()
}

/// What a test captures. A capture that selects nothing is an error: the tests after it could only fail obscurely.
pub(crate) fn capture(
    test: &TestCase,
    format: ResponseFormat,
    document: &Document<'_>,
) -> Result<BTreeMap<String, Json>, String> {
    let mut budget = Budget::new(MAX_MAPPED);
    captures(test, format)
        .into_iter()
        .map(
            |(name, mapping)| match mapping.and_then(|mapping| mapping.apply(document, &mut budget)) {
                Ok(Some(value)) => Ok((name, value)),
                Ok(None) => Err(format!("capture.{name} selects nothing in the response")),
                Err(message) => Err(format!("capture.{name} could not be applied: {message}")),
            },
        )
        .collect()
}
