//! Values of secrets, looked up where the tests run and kept out of everything that is stored or shown.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use secrecy::{ExposeSecret, SecretString};
use testfleet_model::configuration::SecretSpec;

use crate::redaction::Redactor;

/// The largest file that is read as a secret, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Where values come from. Abstract, so that tests need neither environment nor files.
pub trait Lookup {
    /// The environment variable; `None` when it is not set or not Unicode.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file.
    ///
    /// # Errors
    /// When it cannot be read, is too large for a secret, or is not UTF-8.
    fn file(&self, path: &str) -> io::Result<String>;
}

/// The environment and the files of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessLookup;

impl Lookup for ProcessLookup {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        let size = std::fs::metadata(path)?.len();
        if size > MAX_FILE_BYTES {
            return Err(io::Error::other(format!(
                "it has {size} bytes, more than the {MAX_FILE_BYTES} a secret may have"
            )));
        }
        std::fs::read_to_string(path)
    }
}

/// The secrets a configuration declares: those with a value, and those without.
#[derive(Clone, Default)]
pub struct Secrets {
    values: BTreeMap<String, SecretString>,
    missing: BTreeMap<String, MissingSecret>,
}

/// A declared secret that has no value here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSecret {
    /// Its name.
    pub name: String,
    /// Whether calls that use it are in error; an optional one is undefined in templates.
    pub required: bool,
    /// Where a value was looked for.
    pub reason: String,
}

impl Secrets {
    /// Looks every declared secret up. One without a value is no error here: it is one for the tests that use it.
    ///
    /// `from: env:NAME` and `from: file:PATH` are looked up as written. Without `from`, the variable of the
    /// secret's own name is used, else the file that the variable `<NAME>_FILE` names. An empty value counts as none;
    /// one line break at the end of a file is not part of the secret.
    #[must_use]
    pub fn resolve(specs: &BTreeMap<String, SecretSpec>, lookup: &dyn Lookup) -> Self {
        let mut secrets = Self::default();
        for (name, spec) in specs {
            match find(name, spec.from.as_deref(), lookup) {
                Ok(value) => {
                    secrets.values.insert(name.clone(), SecretString::from(value));
                }
                Err(reason) => {
                    let missing = MissingSecret {
                        name: name.clone(),
                        required: spec.required,
                        reason,
                    };
                    secrets.missing.insert(name.clone(), missing);
                }
            }
        }
        secrets
    }

    /// Every required secret without a value.
    pub fn missing_required(&self) -> impl Iterator<Item = &MissingSecret> {
        self.missing.values().filter(|missing| missing.required)
    }

    /// A redactor that knows every value.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        Redactor::new(self.values.values().map(ExposeSecret::expose_secret))
    }

    /// The value, for templates.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    pub(crate) fn declared(&self) -> impl Iterator<Item = &str> {
        self.values.keys().chain(self.missing.keys()).map(String::as_str)
    }

    pub(crate) fn missing(&self, name: &str) -> Option<&MissingSecret> {
        self.missing.get(name)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("names", &self.values.keys().collect::<Vec<_>>())
            .field("missing", &self.missing.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

fn find(name: &str, from: Option<&str>, lookup: &dyn Lookup) -> Result<String, String> {
    if let Some(from) = from {
        return match from.split_once(':') {
            Some(("env", variable)) => of_variable(variable, lookup),
            Some(("file", path)) => of_file(path, lookup),
            _ => Err(format!("`from: {from}` is neither env:NAME nor file:PATH")),
        };
    }
    if let Ok(value) = of_variable(name, lookup) {
        return Ok(value);
    }
    let pointer = format!("{name}_FILE");
    match lookup.variable(&pointer).filter(|path| !path.is_empty()) {
        Some(path) => of_file(&path, lookup).map_err(|reason| format!("{reason} (from {pointer})")),
        None => Err(format!("neither the variable {name} nor {pointer} is set")),
    }
}

fn of_variable(name: &str, lookup: &dyn Lookup) -> Result<String, String> {
    lookup
        .variable(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("the variable {name} is not set, or empty"))
}

fn of_file(path: &str, lookup: &dyn Lookup) -> Result<String, String> {
    let text = lookup
        .file(path)
        .map_err(|error| format!("the file {path} could not be read: {error}"))?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(format!("the file {path} is empty"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table;

    impl Lookup for Table {
        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "DIRECT" => Some("from-environment".into()),
                "EMPTY" => Some(String::new()),
                "POINTED_FILE" => Some("/run/secrets/pointed".into()),
                "GONE_FILE" => Some("/run/secrets/gone".into()),
                _ => None,
            }
        }

        fn file(&self, path: &str) -> io::Result<String> {
            match path {
                "/run/secrets/pointed" => Ok("from-file\r\n".into()),
                _ => Err(io::Error::from(io::ErrorKind::NotFound)),
            }
        }
    }

    fn resolve(specs: &[(&str, Option<&str>)]) -> Secrets {
        let specs = specs
            .iter()
            .map(|(name, from)| {
                let spec = SecretSpec {
                    required: true,
                    from: from.map(str::to_owned),
                };
                ((*name).to_owned(), spec)
            })
            .collect();
        Secrets::resolve(&specs, &Table)
    }

    #[test]
    fn a_value_comes_from_the_variable_else_from_the_file_it_points_to() {
        let secrets = resolve(&[
            ("DIRECT", None),
            ("POINTED", None),
            ("A", Some("env:DIRECT")),
            ("B", Some("file:/run/secrets/pointed")),
        ]);
        let values: Vec<_> = secrets.values().collect();
        assert_eq!(
            values,
            [
                ("A", "from-environment"),
                ("B", "from-file"),
                ("DIRECT", "from-environment"),
                ("POINTED", "from-file")
            ]
        );
    }

    #[test]
    fn all_missing_ones_are_told_at_once_with_the_place_that_was_looked_at() {
        let secrets = resolve(&[("EMPTY", None), ("GONE", None), ("C", Some("vault:x"))]);
        let reasons: Vec<_> = secrets
            .missing_required()
            .map(|missing| missing.reason.as_str())
            .collect();
        assert_eq!(reasons.len(), 3);
        assert!(reasons[0].contains("vault:x"), "{reasons:?}");
        assert!(reasons[1].contains("EMPTY_FILE"), "{reasons:?}");
        assert!(reasons[2].contains("GONE_FILE"), "{reasons:?}");
    }

    #[test]
    fn debug_output_shows_names_only() {
        let text = format!("{:?}", resolve(&[("DIRECT", None)]));
        assert!(text.contains("DIRECT") && !text.contains("from-environment"), "{text}");
    }
}
