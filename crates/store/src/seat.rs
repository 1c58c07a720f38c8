//! A worker's seat: `register`, `heartbeat`, `deregister`, and `reconcile` after a lost answer.

use std::time::Duration;

use testfleet_model::RunId;

use crate::claiming::JobRef;
use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::submission::millis;

/// A registered worker: its incarnation, and the epoch its claims belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The incarnation id, new at every start of a process.
    pub worker: String,
    /// Rises when the worker registers or reconciles, also across being forgotten in between; claims of an older one
    /// are refused. Not a count.
    pub epoch: u64,
}

/// What operators see of a worker.
#[derive(Clone, Debug, Default)]
pub struct WorkerInfo {
    /// The name people gave it, or host and process id.
    pub name: String,
    /// The host.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// Tests it takes at once.
    pub concurrency: u32,
}

/// What came of a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// Renewed.
    Ok {
        /// The server's clock, in milliseconds since 1970.
        now_ms: i64,
        /// Runs and epochs among those named that are closed: their tests must stop.
        closed: Vec<(RunId, u32)>,
    },
    /// The worker was taken for lost; what it held belongs to others.
    Unregistered,
}

/// What came of `reconcile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// A new epoch has begun.
    Ok {
        /// The new seat.
        seat: Seat,
        /// Jobs handed back that the worker did not know of.
        returned: u32,
        /// Whether there are more; call again, with the new seat.
        more: bool,
    },
    /// Nothing was done: an earlier call was executed and its answer lost, or this one came after a later one. Call again
    /// with the seat that the worker has by now.
    Stale {
        /// That seat.
        seat: Seat,
    },
    /// The worker is not registered.
    Unregistered,
}

impl Store {
    /// Makes a worker known, or begins a new epoch of it. Answers the seat and the server's clock (ms since 1970).
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn register(&self, worker: &str, lease: Duration, info: &WorkerInfo) -> Result<(Seat, i64), StoreError> {
        let mut answer = self
            .run(&script::REGISTER, |command| {
                command.arg(worker).arg(millis(lease));
                command
                    .arg("name")
                    .arg(&info.name)
                    .arg("host")
                    .arg(&info.host)
                    .arg("pid")
                    .arg(info.pid);
                command
                    .arg("version")
                    .arg(&info.version)
                    .arg("concurrency")
                    .arg(info.concurrency);
                command.arg("state").arg("running");
            })
            .await?;
        match answer.text()?.as_str() {
            "registered" => Ok((
                Seat {
                    worker: worker.to_owned(),
                    epoch: answer.number()?,
                },
                answer.number()?,
            )),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Renews everything the worker holds. `state` is shown to operators (`running`, `draining`); `None` leaves it as it
    /// is.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn heartbeat(
        &self,
        worker: &str,
        lease: Duration,
        state: Option<&str>,
        runs: &[(RunId, u32)],
    ) -> Result<Heartbeat, StoreError> {
        let mut answer = self
            .run(&script::HEARTBEAT, |command| {
                command.arg(worker).arg(millis(lease)).arg(state.unwrap_or_default());
                for (run, epoch) in runs {
                    command.arg(run.to_string()).arg(*epoch);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "ok" => {
                let now_ms = answer.number()?;
                let mut closed = Vec::with_capacity(answer.len() / 2);
                while !answer.is_empty() {
                    closed.push((answer.run()?, answer.number()?));
                }
                Ok(Heartbeat::Ok { now_ms, closed })
            }
            "unregistered" => Ok(Heartbeat::Unregistered),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Forgets a worker that holds nothing. Answers how many jobs it still holds; 0 means it is gone.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn deregister(&self, worker: &str) -> Result<u32, StoreError> {
        let mut answer = self
            .run(&script::DEREGISTER, |command| {
                command.arg(worker);
            })
            .await?;
        match answer.text()?.as_str() {
            "gone" => Ok(0),
            "holding" => answer.number(),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Begins a new epoch and hands back what the worker is recorded to hold but does not know of. To be called
    /// after a claim whose answer was lost.
    ///
    /// Does nothing when the worker has another epoch than this seat: a call that arrives late must not hand back what the
    /// worker has claimed since.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn reconcile(&self, seat: &Seat, known: &[JobRef]) -> Result<Reconciled, StoreError> {
        let worker = &seat.worker;
        let mut answer = self
            .run(&script::RECONCILE, |command| {
                command.arg(worker).arg(seat.epoch);
                for job in known {
                    command.arg(&job.id).arg(job.fence);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "ok" => Ok(Reconciled::Ok {
                seat: Seat {
                    worker: worker.to_owned(),
                    epoch: answer.number()?,
                },
                returned: answer.number()?,
                more: answer.number::<u32>()? == 1,
            }),
            "stale" => Ok(Reconciled::Stale {
                seat: Seat {
                    worker: worker.to_owned(),
                    epoch: answer.number()?,
                },
            }),
            "unregistered" => Ok(Reconciled::Unregistered),
            other => Err(answer.unknown_word(other)),
        }
    }
}
