//! Laying the sources over each other: for each key, the text of the last source that has it.
//!
//! The defaults introduce the keys; a key of a later layer that is not among them is a problem.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::{ENVIRONMENT_PREFIX, RESERVED_VARIABLES, SECRET_VARIABLE_PREFIX, Sources};
use super::{DEFAULT_TOML, Origin, Problem, reader::SECRET_KEYS, rule};

const FILE_SUFFIX: &str = "_FILE";

/// Other names of keys: the name, and the key it stands for.
const ALIASES: [(&str, &str); 1] = [("notify.backoff", "notify.backoff_initial")];

/// One value before it is read.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    /// The items of a list; one item for everything else.
    pub(super) items: Vec<String>,
    pub(super) origin: Origin,
}

/// The result of laying the sources over each other.
#[derive(Debug, Default)]
pub(super) struct Layered {
    pub(super) values: BTreeMap<String, Raw>,
    pub(super) problems: Vec<Problem>,
}

impl Layered {
    pub(super) fn new(sources: &Sources) -> Self {
        let mut layered = Self::default();
        layered.add_toml(DEFAULT_TOML, None);
        if let Some((path, text)) = &sources.text {
            layered.add_toml(text, Some(path));
        } else if let Some(path) = sources.settings_file() {
            layered.add_file(&path);
        }
        layered.add_environment(sources);
        layered.add_flags(&sources.flags);
        layered
    }

    fn add_file(&mut self, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.add_toml(&text, Some(path)),
            Err(error) => self.whole_file_is_wrong(path, format!("expected a readable file, but {error}")),
        }
    }

    fn whole_file_is_wrong(&mut self, path: &Path, expectation: String) {
        let origin = Origin::File {
            path: path.to_owned(),
            line: None,
        };
        self.problems.push(Problem {
            key: "settings file".to_owned(),
            value: None,
            origin,
            expectation,
        });
    }

    /// `path` is `None` for the defaults, which alone may introduce keys.
    fn add_toml(&mut self, text: &str, path: Option<&Path>) {
        let origin = |span: std::ops::Range<usize>| match path {
            None => Origin::Default,
            Some(path) => Origin::File {
                path: path.to_owned(),
                line: Some(line_of(text, span.start)),
            },
        };
        let sections = match DeTable::parse(text) {
            Ok(sections) => sections,
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                let place = line.map_or_else(String::new, |line| format!(" in line {line}"));
                let expectation = format!("expected TOML, found a mistake{place}: {}", error.message().trim());
                return self.whole_file_is_wrong(path.unwrap_or(Path::new("config/default.toml")), expectation);
            }
        };
        let mut layer = BTreeMap::new();
        for (section, content) in sections.get_ref() {
            let section_name = section.get_ref();
            let DeValue::Table(keys) = content.get_ref() else {
                let expectation = self.unknown_key(section_name);
                let origin = origin(section.span());
                self.problems.push(Problem {
                    key: section_name.to_string(),
                    value: None,
                    origin,
                    expectation,
                });
                continue;
            };
            for (key, value) in keys {
                let name = format!("{section_name}.{}", key.get_ref());
                self.add_toml_value(&mut layer, &name, value, origin(key.span()));
            }
        }
        self.values.extend(layer);
    }

    fn add_toml_value(
        &mut self,
        layer: &mut BTreeMap<String, Raw>,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) {
        let Some(items) = items_of(value.get_ref()) else {
            let expectation = "expected text, a whole number, true or false, or a list of these".to_owned();
            return self.problems.push(Problem {
                key: name.to_owned(),
                value: None,
                origin,
                expectation,
            });
        };
        let raw = Raw { items, origin };
        if raw.origin == Origin::Default {
            layer.insert(name.to_owned(), raw);
        } else {
            self.set(layer, name, raw);
        }
    }

    fn add_environment(&mut self, sources: &Sources) {
        let mut layer = BTreeMap::new();
        for (variable, value) in sources.environment.iter().filter(|(_, value)| !value.is_empty()) {
            if sources.is_reserved(variable) || rule::is_service_link(variable, value) {
                continue;
            }
            let origin = Origin::Environment {
                variable: variable.clone(),
            };
            if let Some(key) = self.key_of_variable(variable) {
                let items = self.split(&key, value);
                self.set(&mut layer, &key, Raw { items, origin });
            } else if let Some(key) = secret_file_key(variable) {
                self.set_from_file(&mut layer, key, variable, Path::new(value));
            } else {
                let key = format!("{variable} (no setting)");
                let expectation = self.unknown_variable(variable);
                // The value is left out: it may be a secret under a misspelt name.
                self.problems.push(Problem {
                    key,
                    value: None,
                    origin,
                    expectation,
                });
            }
        }
        self.values.extend(layer);
    }

    fn set_from_file(&mut self, layer: &mut BTreeMap<String, Raw>, key: &str, variable: &str, path: &Path) {
        let origin = Origin::SecretFile {
            variable: variable.to_owned(),
            path: path.to_owned(),
        };
        match std::fs::read_to_string(path) {
            Ok(text) => self.set(
                layer,
                key,
                Raw {
                    items: vec![text.trim().to_owned()],
                    origin,
                },
            ),
            Err(error) => {
                let expectation = format!("expected a readable file with the value, but {error}");
                self.problems.push(Problem {
                    key: key.to_owned(),
                    value: None,
                    origin,
                    expectation,
                });
            }
        }
    }

    fn add_flags(&mut self, flags: &[(String, String, String)]) {
        let mut layer: BTreeMap<String, Raw> = BTreeMap::new();
        for (flag, key, value) in flags {
            let raw = Raw {
                items: self.split(key, value),
                origin: Origin::Flag { flag: flag.clone() },
            };
            match layer.get_mut(key) {
                Some(earlier) if rule::is_list(key) => earlier.items.extend(raw.items),
                // The last of several flags wins, as everywhere.
                _ => {
                    layer.remove(key);
                    self.set(&mut layer, key, raw);
                }
            }
        }
        self.values.extend(layer);
    }

    /// Adds a value to a layer when its key is known and not yet in it.
    fn set(&mut self, layer: &mut BTreeMap<String, Raw>, name: &str, raw: Raw) {
        let key = ALIASES
            .iter()
            .find(|(alias, _)| *alias == name)
            .map_or(name, |(_, key)| key);
        let expectation = if !self.values.contains_key(key) {
            self.unknown_key(name)
        } else if let Some(other) = layer.get(key) {
            format!("expected one value, but it is set by {} as well", other.origin)
        } else {
            layer.insert(key.to_owned(), raw);
            return;
        };
        let value = (!SECRET_KEYS.contains(&key) && self.values.contains_key(key)).then(|| raw.items.join(","));
        self.problems.push(Problem {
            key: name.to_owned(),
            value,
            origin: raw.origin,
            expectation,
        });
    }

    fn split(&self, key: &str, value: &str) -> Vec<String> {
        if rule::is_list(key) {
            return value
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect();
        }
        vec![value.to_owned()]
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.values
            .keys()
            .map(String::as_str)
            .chain(ALIASES.iter().map(|(alias, _)| *alias))
    }

    fn key_of_variable(&self, variable: &str) -> Option<String> {
        self.names().find(|key| variable_of(key) == variable).map(str::to_owned)
    }

    fn unknown_key(&self, name: &str) -> String {
        let similar = most_similar(name, self.names().map(str::to_owned));
        similar.map_or_else(
            || "unknown setting; config/default.toml lists all".to_owned(),
            |key| format!("unknown setting; did you mean {key}?"),
        )
    }

    fn unknown_variable(&self, variable: &str) -> String {
        let reserved = RESERVED_VARIABLES.iter().map(|(name, _)| (*name).to_owned());
        most_similar(variable, self.names().map(variable_of).chain(reserved)).map_or_else(
            || {
                format!(
                    "unknown variable; {SECRET_VARIABLE_PREFIX}… is for secrets, config/default.toml lists all settings"
                )
            },
            |name| format!("unknown variable; did you mean {name}?"),
        )
    }
}

/// `worker.lease` → `TESTFLEET_WORKER_LEASE`.
fn variable_of(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "_").to_uppercase())
}

fn secret_file_key(variable: &str) -> Option<&'static str> {
    let plain = variable.strip_suffix(FILE_SUFFIX)?;
    SECRET_KEYS.into_iter().find(|key| variable_of(key) == plain)
}

fn most_similar(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    const SIMILAR_ENOUGH: f64 = 0.75;
    known
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, &candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILAR_ENOUGH)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

fn items_of(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(items) => items.iter().map(|item| plain(item.get_ref())).collect(),
        other => plain(other).map(|text| vec![text]),
    }
}

fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}
