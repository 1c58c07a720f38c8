//! One mail, and its form on the wire.

use chrono::{DateTime, Datelike as _, Utc};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use testfleet_model::RunId;

use crate::error::SendError;

/// Characters of a subject; mail clients show fewer.
const MAX_SUBJECT: usize = 250;

/// A mail about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The run it is about; the Message-ID and the name of the file derive from it.
    pub run_id: RunId,
    /// The epoch of the run: 1, and one more each time its tests were tried again. Every epoch has its own mail.
    pub epoch: u32,
    /// When it was decided to send it; passed in so that every attempt has the same.
    pub date: DateTime<Utc>,
    /// Addresses, all of them named in the one mail.
    pub to: Vec<String>,
    /// The subject. Control characters are taken out, and it is cut to 250 characters.
    pub subject: String,
    /// The part for those who read text.
    pub text: String,
    /// The part for those who read HTML.
    pub html: String,
}

impl Message {
    /// What tells it from every other mail: the run, and from the second epoch on `.<epoch>`.
    pub(crate) fn name(&self) -> String {
        match self.epoch {
            0 | 1 => self.run_id.to_string(),
            later => format!("{}.{later}", self.run_id),
        }
    }

    /// The mail as it goes over the wire, from `from` to all recipients that are addresses. What [`Mailer`] sends, for
    /// whoever wants to look at it first.
    ///
    /// # Errors
    /// When the sender is no address, no recipient is one, or the date is outside of what a mail can say.
    ///
    /// [`Mailer`]: crate::Mailer
    pub fn formatted(&self, from: &str) -> Result<Vec<u8>, SendError> {
        let from = mailbox(from).ok_or_else(|| SendError::permanent("the sender is no mail address".to_owned()))?;
        let to: Vec<Mailbox> = self.to.iter().filter_map(|text| mailbox(text)).collect();
        if to.is_empty() {
            return Err(SendError::permanent("no valid recipient".to_owned()));
        }
        Ok(compose(self, &from, &to)?.formatted())
    }
}

/// `<run-id>.testfleet@<domain of the sender>` in angle brackets; from the second epoch on `<run-id>.<epoch>.testfleet@…`.
fn message_id(message: &Message, from: &Mailbox) -> String {
    format!("<{}.testfleet@{}>", message.name(), from.email.domain())
}

/// The mail with its headers, to those recipients.
pub(crate) fn compose(message: &Message, from: &Mailbox, to: &[Mailbox]) -> Result<lettre::Message, SendError> {
    // The header's writer takes the years 1970 to 9999 and panics at any other.
    if !(1970..=9999).contains(&message.date.year()) {
        return Err(SendError::permanent(format!(
            "the mail could not be composed: it is dated {}, which no mail can be",
            message.date
        )));
    }
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .message_id(Some(message_id(message, from)))
        .date(message.date.into())
        .subject(subject(&message.subject))
        .raw_header(HeaderValue::new(
            // Keeps out-of-office replies away (RFC 3834).
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    builder
        .multipart(MultiPart::alternative_plain_html(
            message.text.clone(),
            message.html.clone(),
        ))
        .map_err(|error| SendError::permanent(format!("the mail could not be composed: {error}")))
}

/// Reads an address; what could end a header is never one.
pub(crate) fn mailbox(text: &str) -> Option<Mailbox> {
    if text.chars().any(ends_a_line) {
        return None;
    }
    text.trim().parse().ok()
}

fn subject(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let mut kept = line.filter(|c| !ends_a_line(*c));
    let mut subject: String = kept.by_ref().take(MAX_SUBJECT).collect();
    if kept.next().is_some() {
        subject.push('…');
    }
    subject
}

fn ends_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_bounded_line() {
        assert_eq!(subject("a\r\nBcc: x@example.org\0"), "a  Bcc: x@example.org");
        assert_eq!(subject(&"ä".repeat(1_000)).chars().count(), MAX_SUBJECT + 1);
    }

    #[test]
    fn a_date_that_no_mail_can_have_is_refused() {
        let mut message = Message {
            run_id: RunId::new(Default::default()),
            epoch: 1,
            date: DateTime::UNIX_EPOCH,
            to: vec!["a@example.org".to_owned()],
            subject: "s".to_owned(),
            text: "t".to_owned(),
            html: "h".to_owned(),
        };
        for (date, fine) in [
            ("1970-01-01T00:00:00Z", true),
            ("9999-12-31T23:59:59Z", true),
            ("1969-12-31T23:59:59Z", false),
            ("+10000-01-01T00:00:00Z", false),
        ] {
            message.date = date.parse().unwrap();
            match message.formatted("b@example.org") {
                Ok(_) => assert!(fine, "{date}"),
                Err(error) => assert!(!fine && error.is_permanent(), "{date}: {error}"),
            }
        }
    }

    #[test]
    fn an_address_with_a_line_break_is_none() {
        for text in [
            "a@example.org\r\nBcc: b@example.org",
            "a@example.org\nX: y",
            "",
            "nobody",
            "a@b@c",
        ] {
            assert!(mailbox(text).is_none(), "{text:?}");
        }
        assert!(mailbox(" Änne <a@example.org> ").is_some());
    }
}
