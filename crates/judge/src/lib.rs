#![cfg_attr(test, allow(clippy::unwrap_used))]
//! Asks models and webhooks what metrics want to know.
//!
//! A [`Model`] is a server that speaks OpenAI's API: [`Model::chat`] for what somebody would say, [`Model::play`] for what a user says
//! whom it plays; judges answer in a form, and embeddings are numbers. [`Models`] are those of a configuration, compiled once.
//! [`answer`] gives the questions of an [`Evaluation`](testfleet_evaluation::Evaluation) to whom they are for, until none is open.
//!
//! Every call goes through `testfleet-endpoint`: its egress policy, its bounds and its redaction hold here too. A call begins when
//! the [`Gate`] lets it in, which keeps to the limits of models over all workers; where it keeps what it knows is not known here.
//!
//! What cannot be had is an error with a sentence, never a verdict. Nothing here decides what an answer is worth: the metrics in
//! `testfleet-evaluation` do.

mod answering;
mod chat;
mod check;
mod embedding;
mod error;
mod gate;
mod hook;
mod model;
mod models;
mod occasion;
mod structure;
mod template;
mod transport;
mod user;

pub use answering::answer;
pub use chat::Chat;
pub use check::{check, check_metrics};
pub use error::{AskError, AskErrorKind};
pub use gate::{Gate, Limited, OpenGate, Pass};
pub use model::Model;
pub use models::{ModelContext, Models};
pub use occasion::Occasion;
pub use template::LANGUAGE;
pub use user::{Reaction, Scene};
