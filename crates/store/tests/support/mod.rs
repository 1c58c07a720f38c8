//! A bench for transitions: a private server, typed calls with short names, and looks at the whole database.
//!
//! Time does not pass here: what has to be over is given a deadline in the past ([`Bench::expire_worker`] and others).

pub mod bench;
pub mod limit;
pub mod look;
pub mod shape;

pub use bench::{
    Bench, JOB_LEASE, RETENTION, STAGING, Spec, WORKER_LEASE, completion, cost, endpoint_of, id, tests_of, virtual_time,
};
pub use look::masked;
