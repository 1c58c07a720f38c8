//! The store against a real server: one file per script, whole-state ("Redis before, one call, Redis after").
//!
//! Refusals come first in each file, and a refusal changes nothing but what is documented to count it. `F24` and the
//! like name failure modes that queues of this kind have had in the field.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod activate;
mod adaptive;
mod admission;
mod allow_oom;
mod arrange;
mod baseline;
mod bell;
mod breaker;
mod budget;
mod cancel;
mod checkpoint;
mod claim;
mod clock;
mod collect;
mod comer;
mod complete;
mod configuration;
mod create;
mod crowd;
mod dead;
mod dependency;
mod error_kind;
mod examination;
mod extend;
mod fairness;
mod figures;
mod fill;
mod format;
mod function;
mod group;
mod hand_back;
mod heartbeat;
mod hold;
mod interleaving;
mod lingering;
mod model;
mod pause;
mod rate;
mod reap;
mod reconcile;
mod recover;
mod register;
mod reopen;
mod repair;
mod retry;
mod room;
mod settle_notification;
mod shaped_again;
mod stage;
mod stopping;
mod support;
mod sweep;
mod tick;
mod token;
mod vacate;
mod why;
