//! The reaper: looks what time alone has brought about, and takes what lost workers held back to the queue. Every worker
//! runs one; a look is needed once for all of them.
//!
//! * A worker that holds something looks every `worker.reaper_interval`, unless another one has just done so.
//! * Of the idle workers one looks; the others watch with one command now and then that somebody does, and take over
//!   when nobody has. While the whole queue is empty the looks are rarer.
//!
//! Between two looks there is never more than half a lease, since such a gap begins the grace in which nothing is taken.
//! A look also says what else is due, and so wakes the sweeper and the pumps of the fleet.
//!
//! Promises: TAKEOVER-BOUND, ATTEMPTS-BOUNDED, OUTAGE-GRACE, PROGRESS-AFTER-HEAL.

use std::sync::Arc;
use std::time::Duration;

use testfleet_store::{Look, Reaped, Store, StoreError, TickPace, Ticked};
use tracing::{debug, warn};

use crate::backoff::Backoff;
use crate::holding::Holdings;
use crate::lookout::Lookout;
use crate::options::WorkerOptions;
use crate::part::Part;
use crate::sweeper::Broom;
use crate::worker::Identity;

/// How much later than a promise allows a look must not be: the rest of the second is for the machine.
const SLACK: Duration = Duration::from_millis(800);
/// Between sweeps of an empty queue, in intervals of the reaper.
const IDLE_SWEEP: u32 = 30;

/// How often to look, derived from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rhythm {
    /// Between looks while anything waits, runs or is held.
    busy: Duration,
    /// Between looks while nothing does.
    idle: Duration,
    /// Between two looks whether somebody else looks.
    watch: Duration,
    lease: Duration,
}

impl Rhythm {
    fn of(options: &WorkerOptions) -> Self {
        let busy = options.reaper_interval;
        let lease = options.lease;
        // A run that is begun while all is quiet may be overdue at once: no later than a promise allows.
        let idle = busy.max((busy * 2).min(lease / 5).min(busy + SLACK));
        Self {
            busy,
            idle,
            // Whoever looked last may be lost right after it, just after this worker saw it.
            watch: (lease / 2).saturating_sub(idle).mul_f64(0.85),
            lease,
        }
    }

    fn pace(&self, holding: bool) -> TickPace {
        TickPace {
            lease: self.lease,
            guard: if holding {
                (self.busy / 2).min(Duration::from_millis(500))
            } else {
                self.idle.mul_f64(0.75)
            },
            sweep: self.busy.mul_f64(0.9),
            idle_sweep: self.busy * IDLE_SWEEP,
        }
    }

    /// Until the next look after one.
    fn after(&self, look: &Look, holding: bool) -> Duration {
        let most = if look.busy || holding { self.busy } else { self.idle };
        // Not before something ends, but then at once; thousands of delays that end one by one are looked at together.
        let least = self.busy / 4;
        look.next.map_or(most, |next| most.min(next.max(least)))
    }
}

/// The loop of one worker.
pub(crate) struct Reaper {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) lookout: Arc<Lookout>,
    pub(crate) broom: Arc<Broom>,
}

impl Reaper {
    /// Looks or watches until it is dropped.
    pub(crate) async fn run(&self) {
        let rhythm = Rhythm::of(&self.identity.options);
        let mut backoff = Backoff::default();
        let mut role = Role::Looks;
        loop {
            self.identity.round(Part::Reaper, role.doing()).await;
            let holding = self.holdings.len() > 0;
            if holding {
                role = Role::Looks;
            }
            let wait = match self.turn(&rhythm, &mut role, holding).await {
                Ok(wait) => {
                    backoff.reset();
                    self.identity.health.answered();
                    self.identity.outage.answered(Role::Looks.call());
                    self.identity.outage.answered(Role::Watches { seen: None }.call());
                    wait
                }
                Err(error) => {
                    let wait = backoff.after(&error).max(rhythm.busy.min(SLACK));
                    self.identity.outage.failed(role.call(), &error, wait);
                    self.lookout.doubt();
                    wait
                }
            };
            let soon = wait.min(rhythm.busy);
            tokio::time::sleep(soon).await;
            tokio::select! {
                () = tokio::time::sleep(wait - soon) => {}
                // Who holds something does not leave the looking to others.
                () = self.holdings.any() => {}
            }
        }
    }

    /// One look, or one look whether somebody looks. Answers how long to wait.
    async fn turn(&self, rhythm: &Rhythm, role: &mut Role, holding: bool) -> Result<Duration, StoreError> {
        if let Role::Watches { seen } = role {
            let watch = self.store.watch().await?;
            if watch.claimable {
                self.lookout.alert();
            }
            if watch.looked_ms.is_some() && watch.looked_ms != *seen {
                *seen = watch.looked_ms;
                return Ok(rhythm.watch);
            }
            *role = Role::Looks;
        }
        match self.store.tick(&self.identity.worker, rhythm.pace(holding)).await? {
            Ticked::Skipped { looked_ms } => {
                if holding {
                    return Ok(rhythm.busy);
                }
                *role = Role::Watches { seen: Some(looked_ms) };
                Ok(rhythm.watch)
            }
            Ticked::Looked(look) => {
                self.act(&look).await?;
                Ok(rhythm.after(&look, holding))
            }
        }
    }

    async fn act(&self, look: &Look) -> Result<(), StoreError> {
        if look.claimable {
            self.lookout.alert();
        }
        if look.sweep {
            self.broom.take();
        }
        if look.reap {
            let (workers, jobs) = run_once(&self.store, self.identity.options.lease).await?;
            if workers > 0 || jobs > 0 {
                warn!(workers, jobs, "took jobs of lost workers back");
            }
        }
        Ok(())
    }
}

/// What a worker does for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Looks,
    /// The last look it knows of.
    Watches {
        seen: Option<i64>,
    },
}

impl Role {
    fn call(self) -> &'static str {
        match self {
            Self::Looks => "tick",
            Self::Watches { .. } => "watch",
        }
    }

    fn doing(self) -> &'static str {
        match self {
            Self::Looks => "looking after the queue",
            Self::Watches { .. } => "watching that somebody looks after the queue",
        }
    }
}

/// Until nothing more is expired. Answers workers lost and jobs taken back.
async fn run_once(store: &Store, lease: Duration) -> Result<(u32, u32), StoreError> {
    let mut total = (0, 0);
    loop {
        match store.reap(lease).await? {
            Reaped::Reaped { workers, jobs, more } => {
                total = (total.0 + workers, total.1 + jobs);
                if !more {
                    return Ok(total);
                }
            }
            Reaped::Waiting { left } => {
                debug!(left_ms = left.as_millis(), "reaping waits for holders to renew");
                return Ok(total);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use testfleet_bootstrap::settings::Settings;

    use super::*;
    use crate::heartbeat::idle_interval;
    use crate::{lookout, pump};

    fn rhythm(lease: u64, interval: u64) -> Rhythm {
        let mut settings = Settings::defaults();
        settings.worker.lease = Duration::from_millis(lease);
        settings.worker.reaper_interval = Duration::from_millis(interval);
        Rhythm::of(&WorkerOptions::from_settings(&settings, true).unwrap())
    }

    /// Commands as the server counts them, those inside of scripts too; what each call costs is counted in the store's tests
    /// (`tick`, `heartbeat`). `testfleet bench --idle` measures the whole.
    #[test]
    fn eight_idle_workers_ask_for_less_than_sixteen_commands_a_second() {
        const WORKERS: f64 = 8.0;
        let options = WorkerOptions::from_settings(&Settings::defaults(), true).unwrap();
        let rhythm = Rhythm::of(&options);
        let per_s = |commands: f64, every: Duration| commands / every.as_secs_f64();
        let beats = WORKERS * per_s(3.0, idle_interval(&options));
        let looks = per_s(7.0, rhythm.idle);
        let watches = (WORKERS - 1.0) * per_s(1.0, rhythm.watch);
        // A sweep reads a page of the runs that are kept, one command for each.
        let sweeps = per_s(60.0, rhythm.busy * IDLE_SWEEP);
        let bell = WORKERS * per_s(1.0, lookout::PATIENCE);
        let polls = WORKERS * per_s(12.0, pump::RELAXED_POLL);
        let all = beats + looks + watches + sweeps + bell + polls;
        assert!(all < 16.0, "{beats} {looks} {watches} {sweeps} {bell} {polls}");
    }

    /// OUTAGE-GRACE would begin without an outage, and a take-over would take two leases.
    #[test]
    fn the_loss_of_whoever_looks_leaves_no_gap_of_half_a_lease() {
        for (lease, interval) in [
            (10_000, 1_000),
            (600, 100),
            (400, 100),
            (60_000, 15_000),
            (86_400_000, 60_000),
        ] {
            let rhythm = rhythm(lease, interval);
            assert!(
                rhythm.idle + rhythm.watch < rhythm.lease / 2,
                "{lease} {interval} {rhythm:?}"
            );
            let busy = rhythm.busy + rhythm.pace(true).guard;
            assert!(busy < rhythm.lease / 2, "{lease} {interval} {rhythm:?}");
        }
    }

    /// TAKEOVER-BOUND and TERMINAL-ALWAYS allow the interval and one second.
    #[test]
    fn two_looks_are_never_further_apart_than_the_interval_and_a_second() {
        for interval in [100, 1_000, 20_000] {
            let rhythm = rhythm(100_000, interval);
            let most = rhythm.busy + Duration::from_secs(1);
            assert!(rhythm.idle < most, "{rhythm:?}");
            assert!(rhythm.busy + rhythm.pace(true).guard < most, "{rhythm:?}");
        }
    }

    #[test]
    fn the_next_look_is_when_the_next_lease_ends_if_that_is_sooner() {
        let rhythm = rhythm(10_000, 1_000);
        let look = Look {
            reap: false,
            sweep: false,
            claimable: false,
            busy: true,
            next: Some(Duration::from_millis(300)),
        };
        assert_eq!(rhythm.after(&look, false), Duration::from_millis(300));
        let later = Look {
            next: Some(Duration::from_secs(8)),
            ..look
        };
        assert_eq!(rhythm.after(&later, false), Duration::from_secs(1));
        let idle = Look { busy: false, ..later };
        assert_eq!(rhythm.after(&idle, false), Duration::from_millis(1_800));
        assert_eq!(rhythm.after(&idle, true), Duration::from_secs(1));
    }
}
