//! Why a mailer could not be set up, and why a mail could not be delivered.

/// What is wrong with the settings. Never contains the URL, since that holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The sender is no address.
    #[error("the sender {text:?} is no mail address: expected testfleet@example.org or Name <testfleet@example.org>")]
    From {
        /// What was given.
        text: String,
    },
    /// The URL does not say where the server is.
    #[error(
        "the SMTP URL cannot be used: {reason}; expected smtps://user:password@host, smtp://…?tls=required or smtp://host:port"
    )]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// A password would cross the network unprotected.
    #[error(
        "the SMTP URL has a password but no TLS, and {host} is not this machine: use smtps:// or add ?tls=required"
    )]
    PasswordInClear {
        /// The host of the URL.
        host: String,
    },
    /// TLS could not be prepared.
    #[error("TLS for the SMTP server cannot be prepared: {reason}")]
    Tls {
        /// What the TLS library said.
        reason: String,
    },
    /// Two ways to deliver.
    #[error("both an SMTP URL and a mail directory are set: set one of them")]
    Both,
}

/// Why a mail was not delivered. The reason is bounded, on one line and without the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The same mail would be refused again: a 5xx reply, no valid recipient, a server without what is needed.
    #[error("{reason}; trying again will not help")]
    Permanent {
        /// What was attempted and what happened.
        reason: String,
        /// The SMTP reply, when there was one.
        code: Option<u16>,
    },
    /// Another attempt may succeed: a 4xx reply, no connection, a time-out, a broken conversation. After a
    /// time-out or a broken conversation the server may have accepted the mail; the next attempt has the same
    /// Message-ID.
    #[error("{reason}; worth another attempt")]
    Temporary {
        /// What was attempted and what happened.
        reason: String,
        /// The SMTP reply, when there was one.
        code: Option<u16>,
    },
}

impl SendError {
    /// Whether another attempt is pointless.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Permanent { .. })
    }

    /// What was attempted and what happened, without the advice.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Permanent { reason, .. } | Self::Temporary { reason, .. } => reason,
        }
    }

    /// Whether the refusal may be about one of several recipients: a 55x reply. Others, such as a failed login,
    /// would only be repeated for each of them.
    pub(crate) fn may_concern_one_recipient(&self) -> bool {
        matches!(
            self,
            Self::Permanent {
                code: Some(550..=559),
                ..
            }
        )
    }

    pub(crate) fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent {
            reason: reason.into(),
            code: None,
        }
    }

    pub(crate) fn temporary(reason: impl Into<String>) -> Self {
        Self::Temporary {
            reason: reason.into(),
            code: None,
        }
    }
}
