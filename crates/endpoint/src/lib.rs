#![cfg_attr(test, allow(clippy::unwrap_used))]
//! Calls what is under test over HTTP.
//!
//! A [`Target`] is an endpoint compiled once: its templates ([the language](FILTERS)), credentials, mappings and the
//! HTTP client. [`Target::invoke`] makes one attempt of one test and gives an [`Invocation`], or an [`InvokeError`]
//! that says what happened and whether another attempt is worth it; calls of one
//! [`Conversation`] go through [`Target::invoke_in`]. [`check`] and [`check_test`] find what is wrong with
//! a configuration before it runs.
//!
//! Three guards stand around every call: [`Egress`] decides which addresses may be called, [`Redactor`] keeps values
//! of [`Secrets`] out of everything that is returned, and [`Limits`] bound what is built and read: those of one call, as
//! [`AnswerMemory`] does for all calls of a process together.
//!
//! An answer may come in events: `event` cuts the stream, `stream` puts the answer together, `intake` is what stands between
//! them and the connection. A call may need an access token: `token` keeps tokens, `token_request` gets them, and [`Tokens`]
//! lets several targets share theirs.
//!
//! Over a WebSocket (`web_socket`, on connections that `dial` makes) the messages of an answer are such events.
//!
//! What this crate does not do: it never repeats a call (except once with another access token, when the first one is
//! refused, and as often as `max_redirects` allows when it is redirected), uses no proxy that [`Egress`] does not name, and
//! knows nothing of queues or metrics.

mod call;
mod check;
mod client;
mod condition;
mod conversation;
mod conversion;
mod dial;
mod egress;
mod event;
mod guard;
mod intake;
mod language;
mod mapping;
mod memory;
mod metered;
mod parted_template;
mod patience;
mod problem;
mod redaction;
mod redirect;
mod request;
mod response;
mod retry;
mod secret;
mod stream;
mod target;
mod template;
mod token;
mod token_request;
mod tool_call;
mod tree;
mod unmade;
mod value_template;
mod variable;
mod web_socket;
mod weight;

pub use call::{Call, GivenResponse, Invocation, InvokeError, RetryAdvice};
pub use check::{check, check_authorities, check_test, check_variables};
pub use conversation::{Conversation, Turn};
pub use egress::{Egress, EgressDenied, EgressRule, InvalidProxy, InvalidRule, Proxy};
pub use language::{FILTERS, TESTS};
pub use memory::{AnswerMemory, AnswerShare, AnswerUse};
pub use parted_template::{Part, PartedTemplate};
pub use problem::CompileProblem;
pub use redaction::{MIN_LENGTH, PLACEHOLDER, Redactor};
pub use secret::{Lookup, MissingSecret, ProcessLookup, Secrets};
pub use target::{CompileContext, Limits, Target};
pub use token::Tokens;
pub use value_template::{Condition, STOP_VARIABLES, ValueTemplate, check_secret_template};
pub use variable::{Prompt, prompt};
