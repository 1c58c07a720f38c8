#![allow(clippy::unwrap_used)]
//! Calls of real local servers: what is sent, how answers are read, and what becomes of failures.

mod conversation;
mod failure;
mod fixture;
mod guard;
mod memory;
mod proxy;
mod redirect;
mod request;
mod response;
mod server;
mod stream;
mod tls;
mod token;
mod web_socket;
