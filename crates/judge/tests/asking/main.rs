//! Models and webhooks that are asked over real connections: the stub's judge, which misbehaves when it is told to, and servers
//! that answer what no stub would.
#![allow(clippy::unwrap_used, missing_docs)]

mod fixture;
mod form;
mod model;
mod prompt;
mod webhook;
