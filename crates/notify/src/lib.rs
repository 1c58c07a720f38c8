//! Delivers the mail a run ends with: over SMTP, or into a directory as `.eml` files, or not at all.
//!
//! Promises: the same run gives the same Message-ID, so that a mail sent twice after a crash is recognised; no
//! text can add a header; the password appears in no error and no debug output. Does not decide when to send or
//! whether to try again: [`SendError::is_permanent`] says what trying again could change.
//!
//! Programs install the rustls provider at the start of `main`; nothing here does.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod directory;
mod error;
mod mailer;
mod message;
mod redaction;
mod settings;

pub use error::{SendError, SetupError};
pub use mailer::{Delivery, Mailer, Refused};
pub use message::Message;
pub use settings::MailerSettings;
