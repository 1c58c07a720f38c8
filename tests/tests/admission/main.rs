//! Limits that belong to an endpoint, and fairness between runs and tenants, by real workers. The truth is the stub's own log.
//!
//! Each subject has a short test that CI runs: its claims hold on a machine of any speed. Beside it are the long ones,
//! which are left out of `make test`: `make limits` runs them with optimised programs, one after the other, and each prints
//! its figures beside what is wanted. Those compare times, so they want a machine to themselves.

mod breaker;
mod concurrency;
mod crew;
mod fairness;
mod figure;
mod ground;
mod loss;
mod operator;
mod rate;
mod tolerance;
