//! Sends one mail, or writes it, or says that it does neither.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::{Address, AsyncTransport as _};

use crate::directory;
use crate::error::{SendError, SetupError};
use crate::message::{Message, compose, mailbox};
use crate::settings::{MailerSettings, Server, server};

/// What became of a mail that is not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A server accepted it for at least one recipient.
    Sent {
        /// The server's last reply, which often has its queue id.
        reply: String,
        /// Recipients that did not get it, and will not.
        refused: Vec<Refused>,
    },
    /// It was written to a file.
    Written {
        /// The file.
        path: PathBuf,
    },
    /// Mail is not configured.
    Disabled,
}

/// A recipient that did not get a mail which others got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The address as given.
    pub address: String,
    /// Why.
    pub reason: String,
}

/// Delivers mail. Cheap to keep; holds no connection between mails.
pub struct Mailer(Option<Ready>);

struct Ready {
    from: Mailbox,
    timeout: Duration,
    way: Way,
}

enum Way {
    Smtp(Box<Server>),
    Directory(PathBuf),
}

impl Mailer {
    /// Checks the settings; connects to nothing. With neither server nor directory it is [`Self::disabled`].
    ///
    /// # Errors
    /// When sender or URL cannot be used, when a password would cross the network in clear, or when both a
    /// server and a directory are set.
    pub fn new(settings: &MailerSettings) -> Result<Self, SetupError> {
        let way = match (&settings.smtp_url, &settings.directory) {
            (None, None) => return Ok(Self::disabled()),
            (Some(_), Some(_)) => return Err(SetupError::Both),
            (Some(url), None) => Way::Smtp(Box::new(server(url, settings.timeout)?)),
            (None, Some(directory)) => Way::Directory(directory.clone()),
        };
        let from = mailbox(&settings.from).ok_or_else(|| SetupError::From {
            text: settings.from.clone(),
        })?;
        Ok(Self(Some(Ready {
            from,
            timeout: settings.timeout,
            way,
        })))
    }

    /// A mailer that delivers nothing and says so.
    #[must_use]
    pub fn disabled() -> Self {
        Self(None)
    }

    /// Whether mail is configured.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Delivers one mail to all its recipients. Safe to call again: the mail has the same Message-ID, and a file
    /// is replaced.
    ///
    /// When the server refuses the mail with a 55x reply, every recipient is tried alone, so that one address that no
    /// longer exists does not keep the mail from the others. All still see the same recipients.
    ///
    /// # Errors
    /// When nobody got it; [`SendError::is_permanent`] says whether to try again.
    pub async fn send(&self, message: &Message) -> Result<Delivery, SendError> {
        let Some(ready) = &self.0 else {
            return Ok(Delivery::Disabled);
        };
        let (to, refused) = recipients(&message.to);
        if to.is_empty() {
            let given = if message.to.is_empty() {
                "none was given"
            } else {
                "none of those given is one"
            };
            return Err(SendError::permanent(format!("no valid recipient: {given}")));
        }
        let mail = compose(message, &ready.from, &to)?.formatted();
        match &ready.way {
            Way::Directory(directory) => {
                let written = directory::write(directory, &message.name(), &mail).await;
                let path = written.map_err(|error| {
                    SendError::temporary(format!(
                        "the mail could not be written to {}: {error}",
                        directory.display()
                    ))
                })?;
                Ok(Delivery::Written { path })
            }
            Way::Smtp(server) => {
                let addresses = to.into_iter().map(|mailbox| mailbox.email).collect();
                ready.send_to_all(server, addresses, &mail, refused).await
            }
        }
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_ref().map(|ready| &ready.way) {
            None => f.write_str("Mailer(disabled)"),
            Some(Way::Smtp(server)) => write!(f, "Mailer(SMTP {})", server.address),
            Some(Way::Directory(directory)) => write!(f, "Mailer(directory {})", directory.display()),
        }
    }
}

impl Ready {
    async fn send_to_all(
        &self,
        server: &Server,
        to: Vec<Address>,
        mail: &[u8],
        mut refused: Vec<Refused>,
    ) -> Result<Delivery, SendError> {
        let together = self.send_to(server, to.clone(), mail).await;
        let first_error = match together {
            Ok(reply) => return Ok(Delivery::Sent { reply, refused }),
            Err(error) => error,
        };
        if to.len() == 1 || !first_error.may_concern_one_recipient() {
            return Err(first_error);
        }
        let mut accepted = None;
        let mut worth_another = None;
        for address in to {
            match self.send_to(server, vec![address.clone()], mail).await {
                Ok(reply) => accepted = Some(reply),
                Err(error) => {
                    refused.push(Refused {
                        address: address.to_string(),
                        reason: error.reason().to_owned(),
                    });
                    if !error.is_permanent() {
                        worth_another = Some(error);
                    }
                }
            }
        }
        match accepted {
            // Trying again would send it twice to those who have it.
            Some(reply) => Ok(Delivery::Sent { reply, refused }),
            None => Err(worth_another.unwrap_or(first_error)),
        }
    }

    /// One conversation.
    async fn send_to(&self, server: &Server, to: Vec<Address>, mail: &[u8]) -> Result<String, SendError> {
        let envelope = Envelope::new(Some(self.from.email.clone()), to)
            .map_err(|error| SendError::permanent(format!("the mail has no usable envelope: {error}")))?;
        // The transport's own timeout covers connecting only.
        match tokio::time::timeout(self.timeout, server.transport.send_raw(&envelope, mail)).await {
            Ok(Ok(response)) => {
                let lines = response.message().collect::<Vec<_>>().join(" ");
                Ok(server.redaction.clean(&format!("{} {lines}", response.code())))
            }
            Ok(Err(error)) => Err(send_error(server, &error)),
            Err(_) => Err(SendError::temporary(format!(
                "the mail server {} was not done within {}",
                server.address,
                testfleet_model::duration::format(self.timeout)
            ))),
        }
    }
}

/// The recipients that are addresses, and those that are not.
fn recipients(to: &[String]) -> (Vec<Mailbox>, Vec<Refused>) {
    let mut valid = Vec::new();
    let mut refused = Vec::new();
    for text in to {
        match mailbox(text) {
            Some(mailbox) => valid.push(mailbox),
            None => refused.push(Refused {
                address: text.clone(),
                reason: "it is no mail address".to_owned(),
            }),
        }
    }
    (valid, refused)
}

fn send_error(server: &Server, error: &SmtpError) -> SendError {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !said.contains(&cause_text) {
            said = format!("{said}: {cause_text}");
        }
        source = cause.source();
    }
    let reason = format!(
        "the mail server {} did not take the mail: {}",
        server.address,
        server.redaction.clean(&said)
    );
    let code = error.status().map(u16::from);
    // A server that lacks what is needed (TLS, a way to log in, UTF-8 addresses) will lack it again.
    if error.is_permanent() || error.is_client() {
        SendError::Permanent { reason, code }
    } else {
        SendError::Temporary { reason, code }
    }
}
