//! Takes the password out of what servers and libraries say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// Characters of a reason.
const MAX_REASON: usize = 300;

/// The texts a password could appear as: plain, as written in the URL, and as SMTP sends it.
#[derive(Default)]
pub(crate) struct Redaction {
    needles: Vec<SecretString>,
}

impl Redaction {
    /// For a user's password, decoded and as the URL has it.
    pub(crate) fn new(user: &str, password: &str, encoded: &str) -> Self {
        let mut needles: Vec<String> = vec![
            STANDARD.encode(format!("\0{user}\0{password}")),
            STANDARD.encode(password),
            encoded.to_owned(),
            password.to_owned(),
        ];
        needles.retain(|needle| !needle.is_empty());
        // Longest first, so that none leaves a part of another behind.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        Self {
            needles: needles.into_iter().map(SecretString::from).collect(),
        }
    }

    /// The text on one line, bounded, without the password.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for needle in &self.needles {
            clean = clean.replace(needle.expose_secret(), "***");
        }
        let mut line: String = clean
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MAX_REASON)
            .collect();
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_in_every_form() {
        let redaction = Redaction::new("bot", "s3cr€t/x", "s3cr%E2%82%ACt%2Fx");
        let plain = STANDARD.encode("\0bot\0s3cr€t/x");
        let login = STANDARD.encode("s3cr€t/x");
        let said = redaction.clean(&format!("535 s3cr€t/x s3cr%E2%82%ACt%2Fx {plain} {login}\r\nno"));
        assert_eq!(said, "535 *** *** *** ***  no");
    }

    #[test]
    fn without_a_password_nothing_is_hidden() {
        assert_eq!(Redaction::default().clean("550 no such user\x1b"), "550 no such user");
        assert_eq!(Redaction::default().clean(&"x".repeat(5_000)).len(), MAX_REASON);
    }
}
