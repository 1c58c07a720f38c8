//! Keeps the values of secrets out of everything that is stored or shown.
//!
//! Redaction is by value: wherever a secret turns up (an echoed header, an error message, the answer itself), it is
//! replaced by [`PLACEHOLDER`], in the forms it is likely to take: as it is, in JSON strings, percent-encoded, and in
//! base64, also as part of a longer text such as the `user:password` of basic authentication. Other
//! transformations (a hash, a reversed text) are not recognised. Values shorter than [`MIN_LENGTH`] are left alone,
//! since replacing every `42` would spoil results and hide nothing.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::Regex;
use serde_json::Value;

/// What stands in the place of a secret.
pub const PLACEHOLDER: &str = "[redacted]";

/// Shorter values are not redacted, in bytes.
pub const MIN_LENGTH: usize = 4;

/// Replaces the values of secrets in text and JSON.
#[derive(Clone, Default)]
pub struct Redactor {
    pattern: Option<Regex>,
    /// Set when the pattern could not be built: then everything is replaced, rather than nothing.
    opaque: bool,
    /// Values that are kept out as well.
    beside: Option<Arc<Redactor>>,
}

impl Redactor {
    /// A redactor for these values.
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms = BTreeSet::new();
        let mut alternatives = Vec::new();
        for value in values.into_iter().filter(|value| value.len() >= MIN_LENGTH) {
            forms_of(value, &mut forms);
            alternatives.push((value.len(), in_urls(value)));
        }
        if alternatives.is_empty() {
            return Self::default();
        }
        alternatives.extend(forms.iter().map(|form| (form.len(), regex::escape(form))));
        // The first alternative that matches wins, so the longest has to come first.
        alternatives.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        let alternatives: Vec<_> = alternatives.into_iter().map(|(_, pattern)| pattern).collect();
        let pattern = regex::RegexBuilder::new(&alternatives.join("|"))
            .size_limit(usize::MAX)
            .build()
            .ok();
        Self {
            opaque: pattern.is_none(),
            pattern,
            beside: None,
        }
    }

    /// This redactor and another one. What stood beside this one before no longer does.
    pub(crate) fn and(&self, other: &Arc<Self>) -> Self {
        Self {
            beside: Some(Arc::clone(other)),
            ..self.clone()
        }
    }

    /// The text without secrets.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let own = match &self.pattern {
            Some(pattern) => pattern.replace_all(text, regex::NoExpand(PLACEHOLDER)),
            None if self.opaque => Cow::Borrowed(PLACEHOLDER),
            None => Cow::Borrowed(text),
        };
        match (&self.beside, own) {
            (None, own) => own,
            (Some(beside), Cow::Borrowed(text)) => beside.text(text),
            (Some(beside), Cow::Owned(text)) => Cow::Owned(beside.text(&text).into_owned()),
        }
    }

    /// Takes secrets out of every string and key of the value. A number that is written like a secret becomes the
    /// placeholder too.
    pub fn value(&self, value: &mut Value) {
        if self.pattern.is_none() && !self.opaque && self.beside.is_none() {
            return;
        }
        match value {
            Value::String(text) => {
                if let Cow::Owned(redacted) = self.text(text) {
                    *text = redacted;
                }
            }
            Value::Number(number) => {
                let text = number.to_string();
                if self.text(&text) == PLACEHOLDER {
                    *value = Value::String(PLACEHOLDER.to_owned());
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(members) => {
                if members.keys().any(|key| matches!(self.text(key), Cow::Owned(_))) {
                    *members = std::mem::take(members)
                        .into_iter()
                        .map(|(key, member)| (self.text(&key).into_owned(), member))
                        .collect();
                }
                members.values_mut().for_each(|member| self.value(member));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

/// A pattern for the secret as it is and percent-encoded. Each part of a URL escapes other characters, a URL made of a
/// template has the secret in several parts, and servers escape as they like; so every character that is no letter or
/// digit may be escaped or not.
fn in_urls(secret: &str) -> String {
    let mut pattern = String::with_capacity(secret.len() * 2);
    for letter in secret.chars() {
        if letter.is_ascii_alphanumeric() {
            pattern.push(letter);
            continue;
        }
        let plain = regex::escape(letter.encode_utf8(&mut [0; 4]));
        let escaped: String = letter
            .encode_utf8(&mut [0; 4])
            .bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect();
        let plus = if letter == ' ' { "|\\+" } else { "" };
        pattern.push_str(&format!("(?:{plain}|(?i:{escaped}){plus})"));
    }
    pattern
}

fn forms_of(secret: &str, forms: &mut BTreeSet<String>) {
    let json = Value::String(secret.to_owned()).to_string();
    let json = json.trim_matches('"');
    // `trim_matches` would also eat an escaped quote's quote at the end of the secret.
    let json = if secret.ends_with('"') {
        format!("{json}\"")
    } else {
        json.to_owned()
    };
    for form in [json.replace('/', "\\/"), ascii_json(&json), json] {
        // Once more, for JSON that is quoted inside JSON.
        forms.insert(form.replace('\\', "\\\\").replace('"', "\\\""));
        forms.insert(form);
    }
    base64_forms(secret.as_bytes(), forms);
}

/// JSON as Python's `json.dumps` writes it: everything outside ASCII escaped.
fn ascii_json(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() {
            ascii.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

/// Base64 works on groups of three bytes, so a secret inside a longer text takes one of three forms, by its place in
/// the group. Only letters that no neighbouring byte has a share in are taken, and the last ones where nothing follows.
fn base64_forms(secret: &[u8], forms: &mut BTreeSet<String>) {
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret);
        let first = (before * 8).div_ceil(6);
        let last = bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.extend(encoded.get(first..last).map(str::to_owned));
            if let Some(end) = encoded.get(first..) {
                forms.insert(end.to_owned());
                forms.insert(format!("{end}{}", "=".repeat((3 - bytes.len() % 3) % 3)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use serde_json::json;

    const SECRET: &str = "p/äss wörd\"+1";

    fn redacted(text: &str) -> String {
        Redactor::new([SECRET]).text(text).into_owned()
    }

    #[test]
    fn a_secret_is_found_in_every_likely_form() {
        let encoded = utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string();
        for form in [
            SECRET.to_owned(),
            json!(SECRET).to_string(),
            json!(json!(SECRET).to_string()).to_string(),
            STANDARD.encode(SECRET),
            URL_SAFE.encode(SECRET),
            encoded.to_lowercase(),
            encoded,
            url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect(),
            ascii_json(&json!(SECRET).to_string()),
        ] {
            let text = redacted(&format!("before {form} after"));
            assert!(text.contains(PLACEHOLDER), "{form} became {text}");
            assert!(
                !text.contains("wörd") && !text.contains("rd%22"),
                "{form} became {text}"
            );
        }
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(Redactor::new(["42", ""]).text("42 is the answer"), "42 is the answer");
    }

    #[test]
    fn the_longest_secret_wins_where_two_overlap() {
        let redactor = Redactor::new(["secret", "secret-extended"]);
        assert_eq!(redactor.text("a secret-extended b"), "a [redacted] b");
        assert_eq!(redactor.text("[redacted]"), "[redacted]");
    }

    #[test]
    fn keys_and_numbers_of_json_are_redacted_too() {
        let mut value = json!({"123456": {"token": "x 123456 y", "pin": 123_456, "other": 1_234_567}});
        Redactor::new(["123456"]).value(&mut value);
        assert_eq!(
            value,
            json!({"[redacted]": {"token": "x [redacted] y", "pin": "[redacted]", "other": 1_234_567}})
        );
    }

    proptest! {
        #[test]
        fn a_secret_inside_a_base64_pair_is_found(user in "[a-z]{0,9}", secret in "[!-~]{8,24}", tail in "[a-z]{0,3}") {
            let pair = STANDARD.encode(format!("{user}:{secret}{tail}"));
            let text = Redactor::new([secret.as_str()]).text(&pair).into_owned();
            prop_assert!(text.contains(PLACEHOLDER), "{pair} became {text}");
        }

        /// Each part of a URL escapes something else.
        #[test]
        fn a_secret_anywhere_in_a_url_is_found(secret in "[!-~]{4}[a-z@+;=|^]{2,12}") {
            let redactor = Redactor::new([secret.as_str()]);
            let mut urls = vec![
                format!("http://{secret}@host/"),
                format!("http://host/{secret}/x"),
                format!("http://host/?{secret}"),
            ];
            let mut pairs = url::Url::parse("http://host/").unwrap();
            pairs.query_pairs_mut().append_pair("k", &secret);
            urls.push(pairs.into());
            for url in urls.iter().filter_map(|url| url::Url::parse(url).ok()) {
                let told = redactor.text(url.as_str());
                let told = percent_encoding::percent_decode_str(&told).decode_utf8_lossy();
                prop_assert!(!told.contains(&secret), "{} of {}", told, url);
            }
        }

        #[test]
        fn text_without_secrets_stays_as_it_is(text in "[a-m ]{0,200}") {
            let redactor = Redactor::new(["zzzzzzzz"]);
            prop_assert_eq!(redactor.text(&text), text.as_str());
        }
    }
}
