//! An exhaustive model of the transitions: a small store, a few workers, and everything that may happen to them, in every
//! order.
//!
//! The transitions are those of `crates/store/src/lua`, step by step ([`transition`] lists them); what workers do is after
//! the worker's pump, heartbeat, collection and delivery. The checker visits every state that can be reached and holds the
//! [`promise`]s against it; [`progress`] shows that from every one of them the end can still be reached. [`Mutation`]s leave
//! a rule out and must be noticed: they test the checker.
//!
//! What is modelled, what is left out and how to keep it true is in `docs/adr/0010-model-of-the-transitions.md`. Nothing
//! depends on this crate.

mod action;
mod call;
mod canonical;
mod choice;
pub mod endpoint;
mod fleet;
mod mutation;
mod operation;
pub mod progress;
pub mod promise;
mod scenario;
pub mod set;
pub mod state;
mod step;
pub mod transition;
mod verdict;
pub mod witness;
pub mod worker;

pub use action::{Action, Delivery};
pub use fleet::Fleet;
pub use mutation::{Mutation, Mutations};
pub use scenario::Scenario;
pub use transition::{Chance, Told};
pub use verdict::Verdict;
