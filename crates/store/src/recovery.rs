//! What any process may do for all: look what time has brought about, take back what lost workers held, end what is
//! overdue.

use std::time::Duration;

use deadpool_redis::redis::cmd;

use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::submission::millis;

/// How often looks are worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickPace {
    /// The lease of workers: a gap between looks of more than half of it begins a grace, in which nothing is taken.
    pub lease: Duration,
    /// A look of another worker is enough when it is not older than this.
    pub guard: Duration,
    /// Between sweeps.
    pub sweep: Duration,
    /// Between sweeps while nothing waits, runs or is held.
    pub idle_sweep: Duration,
}

/// What came of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticked {
    /// This worker looked.
    Looked(Look),
    /// Another one has looked just now.
    Skipped {
        /// When, by the server's clock, in milliseconds since 1970.
        looked_ms: i64,
    },
}

/// What there is to do, for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Leases are over: call [`reap`](Store::reap).
    pub reap: bool,
    /// Runs are overdue, or the last sweep was long ago: call [`sweep`](Store::sweep).
    pub sweep: bool,
    /// There is something to claim; the bell has rung.
    pub claimable: bool,
    /// Something waits, runs or is held; `false`: the queue is empty and every run has ended.
    pub busy: bool,
    /// Until the next lease, delay or deadline is over; `None` when none is known.
    pub next: Option<Duration>,
}

/// What the last look left for those who only watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// When it was, by the server's clock, in milliseconds since 1970; `None`: never, or it was forgotten.
    pub looked_ms: Option<i64>,
    /// Whether there was something to claim.
    pub claimable: bool,
}

/// What one tick of the reaper found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// Expired leases were taken back.
    Reaped {
        /// Workers forgotten.
        workers: u32,
        /// Jobs taken back.
        jobs: u32,
        /// Whether more are waiting than one tick takes.
        more: bool,
    },
    /// After a gap in the ticks holders get time to renew first.
    Waiting {
        /// Until reaping resumes.
        left: Duration,
    },
}

/// What one tick of the sweeper did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Runs closed because their deadline had passed.
    pub late: u32,
    /// Submissions removed that nobody finished.
    pub abandoned: u32,
    /// Collections and mails queued again that had been lost.
    pub requeued: u32,
    /// Runs forgotten because their retention was over.
    pub forgotten: u32,
    /// Runs set aside because no script can work on them: see [`quarantined`](Store::quarantined) and
    /// [`repair`](Store::repair).
    pub quarantined: u32,
    /// Open runs of which a test may be in no place; see [`mend_run`](Store::mend_run).
    pub suspicious: Vec<String>,
}

impl Store {
    /// Looks for everybody at what time alone brings about, unless another worker has just done so.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn tick(&self, worker: &str, pace: TickPace) -> Result<Ticked, StoreError> {
        let mut answer = self
            .run(&script::TICK, |command| {
                command.arg(worker).arg(millis(pace.lease)).arg(millis(pace.guard));
                command.arg(millis(pace.sweep)).arg(millis(pace.idle_sweep));
            })
            .await?;
        match answer.text()?.as_str() {
            "looked" => {
                let _now_ms = answer.number::<i64>()?;
                let mut flag = || Ok::<_, StoreError>(answer.number::<u32>()? == 1);
                Ok(Ticked::Looked(Look {
                    reap: flag()?,
                    sweep: flag()?,
                    claimable: flag()?,
                    busy: flag()?,
                    next: u64::try_from(answer.number::<i64>()?).ok().map(Duration::from_millis),
                }))
            }
            "skipped" => Ok(Ticked::Skipped {
                looked_ms: answer.number()?,
            }),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// What the last look of anybody left: one command, for workers that leave the looking to another.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn watch(&self) -> Result<Watch, StoreError> {
        let mut command = cmd("HMGET");
        command.arg(self.keys().shard("reaper")).arg("tick").arg("claimable");
        let (looked, claimable): (Option<i64>, Option<i64>) = self.query("watch", &command).await?;
        Ok(Watch {
            looked_ms: looked,
            claimable: claimable == Some(1),
        })
    }

    /// Takes back the jobs of workers that stopped renewing, and jobs past their hard deadline.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn reap(&self, lease: Duration) -> Result<Reaped, StoreError> {
        let mut answer = self
            .run(&script::REAP, |command| {
                command.arg(millis(lease));
            })
            .await?;
        match answer.text()?.as_str() {
            "reaped" => Ok(Reaped::Reaped {
                workers: answer.number()?,
                jobs: answer.number()?,
                more: answer.number::<u32>()? == 1,
            }),
            "waiting" => Ok(Reaped::Waiting {
                left: Duration::from_millis(answer.number()?),
            }),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Ends runs past their deadline, removes abandoned submissions (kept `retention` as a record), finds lost
    /// collections, forgets expired runs.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn sweep(&self, retention: Duration) -> Result<Swept, StoreError> {
        let mut answer = self
            .run(&script::SWEEP, |command| {
                command.arg(millis(retention));
            })
            .await?;
        match answer.text()?.as_str() {
            "swept" => Ok(Swept {
                late: answer.number()?,
                abandoned: answer.number()?,
                requeued: answer.number()?,
                forgotten: answer.number()?,
                quarantined: answer.number()?,
                suspicious: {
                    let mut runs = answer.array()?;
                    let mut found = Vec::with_capacity(runs.len());
                    while !runs.is_empty() {
                        found.push(runs.lossy()?);
                    }
                    found
                },
            }),
            other => Err(answer.unknown_word(other)),
        }
    }
}
