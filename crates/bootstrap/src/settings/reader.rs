//! Typed reading: takes the text of a key, answers the value, and keeps what is wrong instead of stopping.
//!
//! A key with a problem reads as its type's zero; nobody sees that, since [`Reader::finish`] then fails.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::layer::{Layered, Raw};
use super::{LogFormat, Origin, Problem, SecretUrl, SettingsError, Shown, byte_size, rule};

/// Keys whose values are never shown, and which may be read from a file named by a variable.
pub(super) const SECRET_KEYS: [&str; 3] = ["redis.url", "notify.smtp_url", "egress.proxy"];

pub(super) struct Reader {
    layered: Layered,
    shown: Vec<Shown>,
}

/// How a value is shown in TOML.
enum Literal {
    Text(String),
    Plain(String),
}

impl Reader {
    pub(super) fn new(layered: Layered) -> Self {
        Self {
            layered,
            shown: Vec::new(),
        }
    }

    /// What was read, unless something is wrong.
    pub(super) fn finish(mut self) -> Result<Vec<Shown>, SettingsError> {
        debug_assert!(
            self.layered.values.is_empty(),
            "a default that nobody reads: {:?}",
            self.layered.values.keys()
        );
        if self.layered.problems.is_empty() {
            return Ok(self.shown);
        }
        self.layered.problems.sort_by(|one, other| one.key.cmp(&other.key));
        Err(SettingsError {
            problems: self.layered.problems,
        })
    }

    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.read(key, false, |text| match text.to_ascii_lowercase().as_str() {
            "true" => Ok((true, Literal::Plain("true".to_owned()))),
            "false" => Ok((false, Literal::Plain("false".to_owned()))),
            _ => Err("expected true or false".to_owned()),
        })
    }

    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u32>) -> u32 {
        self.read(key, 0, |text| match text.parse() {
            Ok(number) if range.contains(&number) => Ok((number, Literal::Plain(number.to_string()))),
            _ => Err(format!(
                "expected a whole number from {} to {}",
                range.start(),
                range.end()
            )),
        })
    }

    pub(super) fn bytes(&mut self, key: &'static str, range: RangeInclusive<u64>) -> u64 {
        let bounds = [*range.start(), *range.end()].map(byte_size::format);
        self.read(key, 0, |text| match byte_size::parse(text) {
            Some(bytes) if range.contains(&bytes) => Ok((bytes, Literal::Text(byte_size::format(bytes)))),
            _ => Err(format!(
                "expected a size from {} to {}, such as 65536 or 64KiB",
                bounds[0], bounds[1]
            )),
        })
    }

    pub(super) fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Duration {
        let bounds = [*range.start(), *range.end()].map(|bound| humantime::format_duration(bound).to_string());
        self.read(key, Duration::ZERO, |text| {
            match humantime::parse_duration(text.trim()) {
                Ok(duration) if range.contains(&duration) => Ok((duration, duration_literal(duration))),
                Ok(_) => Err(format!("expected a duration from {} to {}", bounds[0], bounds[1])),
                Err(_) => Err("expected a duration with a unit, such as 250ms, 30s or 5m".to_owned()),
            }
        })
    }

    pub(super) fn text(&mut self, key: &'static str, check: fn(&str) -> Result<(), String>) -> String {
        self.read(key, String::new(), |text| {
            check(text).map(|()| (text.to_owned(), Literal::Text(text.to_owned())))
        })
    }

    /// Empty text is `None` and needs no check.
    pub(super) fn optional_text(&mut self, key: &'static str, check: fn(&str) -> Result<(), String>) -> Option<String> {
        self.read(key, None, |text| match text.trim() {
            "" => Ok((None, Literal::Text(String::new()))),
            text => check(text).map(|()| (Some(text.to_owned()), Literal::Text(text.to_owned()))),
        })
    }

    pub(super) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.optional_text(key, |_| Ok(())).map(PathBuf::from)
    }

    pub(super) fn optional_secret_url(
        &mut self,
        key: &'static str,
        check: fn(&str) -> Result<(), String>,
    ) -> Option<SecretUrl> {
        self.read(key, None, |text| match text.trim() {
            "" => Ok((None, Literal::Text(String::new()))),
            text => check(text).map(|()| {
                let url = SecretUrl::new(text);
                let shown = Literal::Text(url.masked());
                (Some(url), shown)
            }),
        })
    }

    pub(super) fn log_format(&mut self, key: &'static str) -> LogFormat {
        self.read(key, LogFormat::Text, |text| match text {
            "text" => Ok((LogFormat::Text, Literal::Text(text.to_owned()))),
            "json" => Ok((LogFormat::Json, Literal::Text(text.to_owned()))),
            _ => Err("expected text or json".to_owned()),
        })
    }

    pub(super) fn list(&mut self, key: &'static str, check: fn(&str) -> Result<(), String>) -> Vec<String> {
        debug_assert!(rule::is_list(key), "{key} is read as a list");
        let Some(raw) = self.layered.values.remove(key) else {
            return Vec::new();
        };
        for expectation in raw.items.iter().filter_map(|item| check(item).err()) {
            self.complain(key, &raw, expectation);
        }
        let items = raw.items.iter().map(|item| toml::Value::from(item.as_str())).collect();
        self.show(key, Literal::Plain(toml::Value::Array(items).to_string()), raw.origin);
        raw.items
    }

    /// Makes `value` at most `bound`, which follows from the setting `from`: a default gives way, a set value is wrong.
    pub(super) fn at_most(
        &mut self,
        key: &'static str,
        value: Duration,
        bound: Duration,
        from: &'static str,
    ) -> Duration {
        if value <= bound {
            value
        } else {
            self.fit(key, (value, bound), "most", from, duration_text)
        }
    }

    /// The same with the least value.
    pub(super) fn at_least(
        &mut self,
        key: &'static str,
        value: Duration,
        bound: Duration,
        from: &'static str,
    ) -> Duration {
        if value >= bound {
            value
        } else {
            self.fit(key, (value, bound), "least", from, duration_text)
        }
    }

    /// The same with the least size.
    pub(super) fn at_least_bytes(&mut self, key: &'static str, value: u64, bound: u64, from: &'static str) -> u64 {
        if value >= bound {
            value
        } else {
            self.fit(key, (value, bound), "least", from, byte_size::format)
        }
    }

    /// Whether nobody set the key. Only for keys that were read.
    pub(super) fn is_default(&self, key: &str) -> bool {
        self.shown
            .iter()
            .any(|shown| shown.key == key && shown.origin.is_default())
    }

    fn fit<T: Copy>(
        &mut self,
        key: &'static str,
        (value, bound): (T, T),
        at: &str,
        from: &'static str,
        text: fn(T) -> String,
    ) -> T {
        // A value with a problem of its own is not shown and must not cause a second one.
        if !self.shown.iter().any(|shown| shown.key == from) {
            return value;
        }
        let Some(shown) = self.shown.iter_mut().find(|shown| shown.key == key) else {
            return value;
        };
        if shown.origin.is_default() {
            shown.origin = Origin::Derived { from };
            shown.literal = literal_text(&Literal::Text(text(bound)));
            return bound;
        }
        let raw = Raw {
            items: vec![text(value)],
            origin: shown.origin.clone(),
        };
        self.complain(key, &raw, format!("expected at {at} {}, as {from} has it", text(bound)));
        value
    }

    fn read<T>(&mut self, key: &'static str, zero: T, parse: impl FnOnce(&str) -> Result<(T, Literal), String>) -> T {
        let Some(raw) = self.layered.values.remove(key) else {
            debug_assert!(false, "{key} has no default");
            return zero;
        };
        let parsed = match raw.items.as_slice() {
            [text] => parse(text),
            _ => Err("expected one value, found a list".to_owned()),
        };
        match parsed {
            Ok((value, literal)) => {
                self.show(key, literal, raw.origin);
                value
            }
            Err(expectation) => {
                self.complain(key, &raw, expectation);
                zero
            }
        }
    }

    fn show(&mut self, key: &'static str, literal: Literal, origin: Origin) {
        self.shown.push(Shown {
            key,
            literal: literal_text(&literal),
            origin,
        });
    }

    fn complain(&mut self, key: &str, raw: &Raw, expectation: String) {
        let value = (!SECRET_KEYS.contains(&key)).then(|| raw.items.join(","));
        self.layered.problems.push(Problem {
            key: key.to_owned(),
            value,
            origin: raw.origin.clone(),
            expectation,
        });
    }
}

fn duration_literal(duration: Duration) -> Literal {
    Literal::Text(duration_text(duration))
}

fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn literal_text(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => toml::Value::from(text.as_str()).to_string(),
        Literal::Plain(text) => text.clone(),
    }
}
