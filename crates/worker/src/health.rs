//! The worker's health, told from marks that its loops leave behind. Nobody who asks makes the worker ask Redis.
//!
//! * live: no loop is stuck. A loop that waits for Redis, however long Redis is away, is not stuck: each of its waits is
//!   bounded, and it says that it is there between two of them. Restarting a worker does not bring Redis back.
//! * ready: registered, not draining, and Redis has answered lately.
//! * startup: registered once. What is slow at the start is the wait for Redis.
//!
//! It does not: answer over the network (`probe`), say anything (`watchdog`), or end anything (`worker`).

use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use testfleet_bootstrap::settings::Settings;

use crate::part::Part;

/// The least time without an answer of Redis after which a worker is not ready.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// Given to a loop on top of the longest wait it can have: pauses of the machine, many short calls in a row.
const LOOP_MARGIN: Duration = Duration::from_secs(30);

/// What somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Should the process be restarted?
    Live,
    /// Does it take work?
    Ready,
    /// Has it begun to take work?
    Startup,
}

/// The answer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Green,
    /// No; the reason is one line.
    Red(String),
}

impl Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Green => formatter.write_str("ok"),
            Self::Red(reason) => formatter.write_str(reason),
        }
    }
}

/// Nothing has happened yet, or the loop has ended as it should.
const NEVER: u64 = 0;

/// The last sign of one loop.
#[derive(Debug, Default)]
struct Mark {
    at: AtomicU64,
    /// What it began then. Held for one assignment or one copy, never while waiting.
    doing: Mutex<&'static str>,
}

/// A loop that has shown no sign for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    pub(crate) part: Part,
    pub(crate) silence: Duration,
    pub(crate) doing: &'static str,
}

impl Display for Stuck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, silence, doing } = self;
        write!(formatter, "{part} is stuck since {} s", silence.as_secs())?;
        if doing.is_empty() {
            return Ok(());
        }
        write!(formatter, " ({doing})")
    }
}

/// What the loops leave behind, and what follows from it.
#[derive(Debug)]
pub struct Health {
    origin: Instant,
    /// Without a sign for longer than this, a loop is stuck.
    stuck_after: Duration,
    /// Without an answer for longer than this, the worker is not ready.
    answer_within: Duration,
    loops: [Mark; Part::ALL.len()],
    answered: AtomicU64,
    registered: AtomicBool,
    draining: AtomicBool,
    /// Why it is not registered yet; empty when nothing is known.
    waits: Mutex<String>,
}

impl Health {
    /// The health of a worker that has not been started. The limits follow from the settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let heartbeat = settings.worker.heartbeat;
        Self::with_limits(
            stuck_after(settings),
            // An idle worker has an answer with every heartbeat; one may be missed.
            ANSWER_PATIENCE.max(heartbeat.saturating_mul(2) + Duration::from_secs(1)),
        )
    }

    /// For a worker that nobody probes.
    pub(crate) fn unwatched(stuck_after: Duration) -> Self {
        Self::with_limits(stuck_after, ANSWER_PATIENCE)
    }

    fn with_limits(stuck_after: Duration, answer_within: Duration) -> Self {
        Self {
            origin: Instant::now(),
            stuck_after,
            answer_within,
            loops: Default::default(),
            answered: AtomicU64::new(NEVER),
            registered: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            waits: Mutex::default(),
        }
    }

    /// The answer to `question` now. Waits for nothing and asks nobody.
    #[must_use]
    pub fn verdict(&self, question: Question) -> Verdict {
        self.verdict_at(question, self.now())
    }

    /// A loop has come round, or has waited once more, and begins `doing`.
    pub(crate) fn mark(&self, part: Part, doing: &'static str) {
        let mark = &self.loops[part as usize];
        *mark.doing.lock().unwrap_or_else(PoisonError::into_inner) = doing;
        mark.at.store(self.now(), Ordering::Relaxed);
    }

    /// What a loop said last that it does; empty before it has said anything.
    pub(crate) fn doing(&self, part: Part) -> &'static str {
        *self.loops[part as usize]
            .doing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A loop has ended as it should and is not missed.
    pub(crate) fn ended(&self, part: Part) {
        self.loops[part as usize].at.store(NEVER, Ordering::Relaxed);
    }

    /// The loops that have shown no sign for too long.
    pub(crate) fn stuck(&self) -> Vec<Stuck> {
        self.stuck_at(self.now())
    }

    /// Without a sign for longer than this, a loop is stuck.
    pub(crate) fn stuck_after(&self) -> Duration {
        self.stuck_after
    }

    /// Redis has answered a call.
    pub(crate) fn answered(&self) {
        self.answered.store(self.now(), Ordering::Relaxed);
    }

    /// The worker cannot begin, for this reason.
    pub fn waits_for(&self, reason: String) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    fn not_registered(&self) -> Verdict {
        let reason = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let because = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        Verdict::Red(format!("not registered yet{because}"))
    }

    /// The worker is on the list of workers.
    pub(crate) fn registered(&self) {
        self.registered.store(true, Ordering::Relaxed);
        self.answered();
    }

    /// The worker claims nothing from here on.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn verdict_at(&self, question: Question, now: u64) -> Verdict {
        match question {
            Question::Live => self.live(now),
            Question::Ready => self.ready(now),
            Question::Startup if self.registered.load(Ordering::Relaxed) => Verdict::Green,
            Question::Startup => self.not_registered(),
        }
    }

    fn stuck_at(&self, now: u64) -> Vec<Stuck> {
        Part::ALL
            .into_iter()
            .filter_map(|part| {
                let silence = silence(self.loops[part as usize].at.load(Ordering::Relaxed), now)?;
                (silence > self.stuck_after).then(|| Stuck {
                    part,
                    silence,
                    doing: self.doing(part),
                })
            })
            .collect()
    }

    fn live(&self, now: u64) -> Verdict {
        let stuck: Vec<String> = self.stuck_at(now).iter().map(Stuck::to_string).collect();
        if stuck.is_empty() {
            Verdict::Green
        } else {
            Verdict::Red(stuck.join(", "))
        }
    }

    fn ready(&self, now: u64) -> Verdict {
        if self.is_draining() {
            return Verdict::Red("draining".to_owned());
        }
        if !self.registered.load(Ordering::Relaxed) {
            return self.not_registered();
        }
        match silence(self.answered.load(Ordering::Relaxed), now) {
            Some(quiet) if quiet <= self.answer_within => Verdict::Green,
            Some(quiet) => Verdict::Red(format!("no answer from Redis for {} s", quiet.as_secs())),
            None => Verdict::Red("no answer from Redis yet".to_owned()),
        }
    }

    /// Milliseconds since the start; never [`NEVER`].
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
}

/// How long a loop may show no sign: longer than the longest wait it can have.
pub(crate) fn stuck_after(settings: &Settings) -> Duration {
    let worker = &settings.worker;
    let call = settings.redis.response_timeout + settings.redis.connect_timeout;
    let pause = worker.heartbeat.max(worker.reaper_interval);
    worker.lease.max(call) + pause + LOOP_MARGIN
}

fn silence(last: u64, now: u64) -> Option<Duration> {
    (last != NEVER).then(|| Duration::from_millis(now.saturating_sub(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        Health::with_limits(Duration::from_secs(40), Duration::from_secs(5))
    }

    fn is_green(health: &Health, question: Question, in_ms: u64) -> bool {
        health.verdict_at(question, health.now() + in_ms) == Verdict::Green
    }

    #[test]
    fn a_worker_that_waits_for_its_server_is_live_but_neither_ready_nor_started() {
        let health = health();
        assert!(is_green(&health, Question::Live, 600_000));
        assert!(!is_green(&health, Question::Ready, 0));
        assert!(!is_green(&health, Question::Startup, 0));
    }

    #[test]
    fn silence_of_the_server_makes_a_worker_unready_and_not_dead() {
        let health = health();
        health.registered();
        health.mark(Part::Pump, "asking");
        assert!(is_green(&health, Question::Ready, 4_900));
        assert!(!is_green(&health, Question::Ready, 6_000));
        assert!(is_green(&health, Question::Live, 6_000));
        assert!(is_green(&health, Question::Startup, 6_000));
    }

    #[test]
    fn one_stuck_loop_is_enough_and_is_named() {
        let health = health();
        for part in Part::ALL {
            health.mark(part, "working");
        }
        health.ended(Part::Reaper);
        health.ended(Part::Pump);
        health.ended(Part::Sweeper);
        health.ended(Part::Lookout);
        let Verdict::Red(reason) = health.verdict_at(Question::Live, health.now() + 41_000) else {
            panic!("the heartbeat is stuck");
        };
        assert_eq!(reason, "heartbeat is stuck since 41 s (working)");
        health.ended(Part::Heartbeat);
        assert!(
            is_green(&health, Question::Live, 41_000),
            "loops that ended are not missed"
        );
    }

    /// HONEST-HEALTH
    #[test]
    fn a_worker_that_cannot_begin_says_why() {
        let health = health();
        health.waits_for("nothing listens at redis://nowhere".to_owned());
        let why = Verdict::Red("not registered yet: nothing listens at redis://nowhere".to_owned());
        assert_eq!(health.verdict(Question::Ready), why);
        assert_eq!(health.verdict(Question::Startup), why);
        health.registered();
        assert_eq!(health.verdict(Question::Ready), Verdict::Green);
    }

    #[test]
    fn a_draining_worker_is_live_and_not_ready() {
        let health = health();
        health.registered();
        health.drain();
        assert_eq!(health.verdict(Question::Ready), Verdict::Red("draining".to_owned()));
        assert!(is_green(&health, Question::Live, 0));
    }

    #[test]
    fn rare_heartbeats_do_not_make_a_worker_flicker() {
        let mut settings = Settings::defaults();
        settings.worker.lease = Duration::from_secs(60);
        settings.worker.heartbeat = Duration::from_secs(20);
        let health = Health::new(&settings);
        health.registered();
        assert!(is_green(&health, Question::Ready, 21_000));
    }
}
