//! Why a test, or a run, is not running: one look at everything that decides it, and what stands in the way, in the order in
//! which claims meet it. It changes nothing, and is true for the moment it was asked.

use deadpool_redis::redis::cmd;
use serde::Serialize;
use testfleet_model::configuration::Rate;
use testfleet_model::{ExecutionMode, RunId, RunState};

use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::submission::RUN_FORMAT;
use crate::view::facts;
use crate::view::limit::{Facts, number, read_rate, time};

/// Waiting tests that are looked through for those of one run.
const DELAYED_LIMIT: usize = 2_000;

/// What stands in the way of a test or a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// The run.
    pub test_run_id: RunId,
    /// The test; `None`: the question was about the run.
    pub index: Option<u32>,
    /// What stands in the way, the first first; never empty.
    pub reasons: Vec<Reason>,
    /// When this was so, ms since 1970 by the server's clock.
    pub now_ms: i64,
    /// The endpoint of the run.
    pub endpoint: String,
    /// Its tenant.
    pub tenant: String,
    /// Tests of the run.
    pub total: u32,
    /// Tests with a result.
    pub done: u32,
    /// Tests in flight.
    pub in_flight: u32,
    /// Tests that can be claimed as far as the run is concerned.
    pub pending: u32,
}

/// Something that stands in the way. Times are milliseconds since 1970 by the server's clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The test has its result.
    Done {
        /// The result's status; empty when it cannot be read.
        status: String,
    },
    /// A worker has it.
    Running {
        /// The worker's incarnation.
        worker: String,
        /// Since when.
        since_ms: i64,
        /// Number of the attempt.
        attempt: u32,
    },
    /// The run has no such test.
    NoSuchTest,
    /// All tests of the run that can be given out are in flight.
    AllRunning {
        /// How many.
        in_flight: u32,
    },
    /// No further test of the run begins; its summary is being made.
    Collecting {
        /// Why it was cut short; `None` when all tests have their results.
        stop: Option<String>,
    },
    /// The run has ended.
    Ended {
        /// How.
        state: RunState,
    },
    /// The run is still being submitted.
    Preparing,
    /// Tests of the ended run are being taken back to be tried again.
    Reopening,
    /// No script can work on the run; workers repair or end it.
    Quarantined {
        /// What is wrong with it.
        why: String,
    },
    /// The run was made by another version; workers of this one leave it alone.
    OtherFormat {
        /// Its format.
        format: String,
        /// That of this version.
        ours: u32,
    },
    /// Somebody made the run wait.
    Paused {
        /// Since when.
        since_ms: i64,
    },
    /// It waits for its next attempt.
    RetryDelay {
        /// Until when; of a run, when the first of its tests is due. `None` when that was not found.
        until_ms: Option<i64>,
        /// Attempts that were made; 0 when the question was about the run.
        attempts: u32,
        /// Tests that wait like this; 1 when the question was about a test.
        tests: u32,
    },
    /// One that it depends on has not passed, so it will get `NotRun`.
    DependencyFailed {
        /// That one.
        dependency: u32,
    },
    /// Those it depends on have no result yet.
    Dependency {
        /// Which; of a run, none are named.
        missing: Vec<u32>,
        /// Tests that wait like this; 1 when the question was about a test.
        tests: u32,
    },
    /// Sequential: one that comes before it has no result yet.
    Sequential {
        /// The one whose turn it is, when it is known.
        before: Option<u32>,
        /// Tests before it.
        tests_before: u32,
    },
    /// Its group has as many tests in flight as it may.
    Group {
        /// The group.
        group: String,
        /// Tests of it in flight.
        in_flight: u32,
        /// The most there may be.
        max: u32,
    },
    /// The run has used up its budget.
    Budget {
        /// `requests`, `tokens` or `cost`.
        budget: &'static str,
        /// What it has used, with requests in flight.
        spent: f64,
        /// What it may use.
        of: f64,
    },
    /// The run has as many tests in flight as it may.
    RunCap {
        /// Tests of it in flight.
        in_flight: u32,
        /// The most there may be.
        max: u32,
    },
    /// An operator holds the endpoint.
    Hold {
        /// Until when; `None`: until it is released.
        until_ms: Option<i64>,
        /// Why; may be empty.
        why: String,
    },
    /// The endpoint asked everybody to wait.
    RetryAfter {
        /// Until when.
        until_ms: i64,
    },
    /// The endpoint is taken for down.
    Breaker {
        /// Until when; `None`: half open, and the one call that decides is under way.
        until_ms: Option<i64>,
    },
    /// The endpoint has as many calls in flight as it may.
    MaxConcurrency {
        /// Calls in flight, those that linger included.
        in_flight: u32,
        /// Of those, calls that go on although the right to them is over.
        lingering: u32,
        /// The most there may be.
        max: u32,
    },
    /// The endpoint has as many calls in flight as it took without refusing any.
    Adaptive {
        /// Calls in flight, those that linger included.
        in_flight: u32,
        /// The limit now.
        limit: f64,
        /// When it fell last.
        since_ms: Option<i64>,
    },
    /// The endpoint's rate is used up.
    Rate {
        /// When the next call may begin.
        until_ms: Option<i64>,
        /// The rate, when it can be read.
        rate: Option<Rate>,
    },
    /// The endpoint's budget of tokens is used up.
    Tokens {
        /// When there are enough for a call; `None`: when calls in flight have ended.
        until_ms: Option<i64>,
        /// The budget, when it can be read.
        budget: Option<Rate>,
    },
    /// The fleet has as many tests in flight as it may.
    FleetCap {
        /// Tests in flight.
        in_flight: u64,
        /// The most there may be.
        max: u64,
    },
    /// No worker is alive.
    NoWorker,
    /// All workers that are alive are stopping, and take nothing further.
    WorkersDraining {
        /// How many.
        workers: u32,
    },
    /// All workers have as many jobs as they take.
    WorkersBusy {
        /// How many.
        workers: u32,
    },
    /// The run has no place in the queue although nothing keeps it from one; the sweeper puts it back.
    Misplaced,
    /// Others come first.
    Fairness {
        /// Tests of its own run before it.
        tests_before: u32,
        /// Runs of its tenant at this endpoint before its own.
        runs_before: u32,
        /// Tenants at this endpoint before its own.
        tenants_before: u32,
        /// Endpoints before its own.
        endpoints_before: u32,
    },
    /// Nothing stands in the way: it is claimed with the next claim.
    Ready,
}

impl Store {
    /// Why a test of a run is not running, or, without an index, why no further one is. `None` when there is no such run (any
    /// more).
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn why(&self, run: RunId, index: Option<u32>) -> Result<Option<Why>, StoreError> {
        let mut answer = self
            .run(&script::WHY, |command| {
                command
                    .arg(run.to_string())
                    .arg(index.map(|index| index.to_string()).unwrap_or_default());
            })
            .await?;
        let facts = match answer.text()?.as_str() {
            "facts" => facts(&mut answer)?,
            "unknown" => return Ok(None),
            other => return Err(answer.unknown_word(other)),
        };
        let seen = Seen { facts: &facts, index };
        let mut why = Why {
            test_run_id: run,
            index,
            reasons: seen.reasons(),
            now_ms: seen.now(),
            endpoint: seen.text("endpoint"),
            tenant: seen.text("tenant"),
            total: seen.count("total"),
            done: seen.count("done"),
            in_flight: seen.count("held"),
            pending: seen.pending(),
        };
        for reason in &mut why.reasons {
            if let Reason::RetryDelay { until_ms, attempts, .. } = reason {
                match index {
                    Some(index) => *attempts = self.attempts(run, &[index]).await?.first().copied().unwrap_or(0),
                    None => *until_ms = self.first_retry(run).await?,
                }
            }
        }
        Ok(Some(why))
    }

    /// When the first of a run's waiting tests is due, if it is among those that are due first.
    async fn first_retry(&self, run: RunId) -> Result<Option<i64>, StoreError> {
        let mut command = cmd("ZRANGE");
        command.arg(self.keys().shard("delayed")).arg(0).arg(DELAYED_LIMIT - 1);
        command.arg("WITHSCORES");
        let delayed: Vec<(String, f64)> = self.query("ZRANGE", &command).await?;
        let prefix = format!("{run}/");
        let first = delayed.into_iter().find(|(job, _)| job.starts_with(&prefix));
        Ok(first.map(|(_, due)| due.ceil() as i64))
    }
}

/// What was seen in one look.
struct Seen<'a> {
    facts: &'a Facts,
    index: Option<u32>,
}

impl Seen<'_> {
    fn text(&self, name: &str) -> String {
        self.facts.get(name).cloned().unwrap_or_default()
    }

    fn real(&self, name: &str) -> Option<f64> {
        number::<f64>(self.facts, name).filter(|value| value.is_finite())
    }

    fn count(&self, name: &str) -> u32 {
        // Below zero there is none, whatever was counted.
        self.real(name).unwrap_or(0.0) as u32
    }

    fn now(&self) -> i64 {
        time(self.facts, "now").unwrap_or(0)
    }

    /// A time that has not come yet.
    fn later(&self, name: &str) -> Option<i64> {
        time(self.facts, name).filter(|ms| *ms > self.now())
    }

    fn is_sequential(&self) -> bool {
        self.text("mode") == ExecutionMode::Sequential.name()
    }

    fn pending(&self) -> u32 {
        self.count("again") + self.count("total").saturating_sub(self.count("next"))
    }

    fn reasons(&self) -> Vec<Reason> {
        if let Some(reason) = self.settled() {
            return vec![reason];
        }
        let mut reasons = self.about_the_run();
        reasons.extend(self.about_the_test());
        if self.gives_out() {
            reasons.extend(self.about_what_it_may_use());
            reasons.extend(self.about_the_endpoint());
            reasons.extend(self.about_the_fleet());
            if reasons.is_empty() {
                reasons.push(self.in_line());
            } else {
                // Whoever stands in line does so behind what keeps all of them.
                reasons.extend(self.behind());
            }
        } else if reasons.is_empty() {
            reasons.push(Reason::Misplaced);
        }
        reasons
    }

    /// What ends the question.
    fn settled(&self) -> Option<Reason> {
        if self.index.is_some_and(|index| index >= self.count("total")) && self.facts.contains_key("total") {
            return Some(Reason::NoSuchTest);
        }
        if let Some(result) = self.facts.get("result") {
            let status = serde_json::from_str::<serde_json::Value>(result)
                .ok()
                .and_then(|result| Some(result.get("status")?.as_str()?.to_owned()));
            return Some(Reason::Done {
                status: status.unwrap_or_default(),
            });
        }
        if let Some(running) = self.facts.get("owner").and_then(|owner| running(owner)) {
            return Some(running);
        }
        let state = RunState::from_word(&self.text("state"))?;
        match state {
            RunState::Preparing => Some(Reason::Preparing),
            RunState::Reopening => Some(Reason::Reopening),
            RunState::Collecting => Some(Reason::Collecting {
                stop: self.facts.get("stop").cloned(),
            }),
            state if state.is_terminal() => Some(Reason::Ended { state }),
            _ => None,
        }
    }

    fn about_the_run(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if let Some(why) = self.facts.get("quarantined") {
            reasons.push(Reason::Quarantined { why: why.clone() });
        }
        if let Some(format) = self
            .facts
            .get("format")
            .filter(|format| **format != RUN_FORMAT.to_string())
        {
            reasons.push(Reason::OtherFormat {
                format: format.clone(),
                ours: RUN_FORMAT,
            });
        }
        if let Some(since_ms) = time(self.facts, "paused_at") {
            reasons.push(Reason::Paused { since_ms });
        }
        reasons
    }

    fn about_the_test(&self) -> Vec<Reason> {
        let Some(index) = self.index else {
            return self.about_the_tests();
        };
        let mut reasons = Vec::new();
        if let Some(until_ms) = time(self.facts, "delayed_until") {
            reasons.push(Reason::RetryDelay {
                until_ms: Some(until_ms),
                attempts: 0,
                tests: 1,
            });
        }
        if let Some(dependency) = number(self.facts, "unmet") {
            reasons.push(Reason::DependencyFailed { dependency });
        }
        if self.is_sequential() {
            reasons.extend(self.order_of(index));
        } else if self.facts.contains_key("waits") {
            let missing = self.text("missing");
            reasons.push(Reason::Dependency {
                missing: missing.split(',').filter_map(|index| index.parse().ok()).collect(),
                tests: 1,
            });
        }
        if let Some(max) = number::<u32>(self.facts, "group_max") {
            let in_flight = self.count("group_held");
            if in_flight >= max || self.facts.contains_key("group_place") {
                reasons.push(Reason::Group {
                    group: self.text("group"),
                    in_flight,
                    max,
                });
            }
        }
        reasons
    }

    /// Of a run: why none of its tests can be given out, or which of those that cannot there are.
    fn about_the_tests(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let held = self.count("held");
        if self.is_sequential() && self.is_under_way() {
            reasons.push(Reason::Sequential {
                before: self.turn(),
                tests_before: 1,
            });
        } else if self.pending() == 0 && held > 0 {
            reasons.push(Reason::AllRunning { in_flight: held });
        }
        if self.pending() > 0 && !self.is_sequential() {
            return reasons;
        }
        let depends = if self.is_sequential() {
            0
        } else {
            self.count("waiting_for_others")
        };
        let groups = self.count("waiting_for_groups");
        let others = [self.count("done"), held, self.pending(), depends, groups];
        let delayed = self.count("total").saturating_sub(others.iter().sum());
        if delayed > 0 {
            reasons.push(Reason::RetryDelay {
                until_ms: None,
                attempts: 0,
                tests: delayed,
            });
        }
        if depends > 0 {
            reasons.push(Reason::Dependency {
                missing: Vec::new(),
                tests: depends,
            });
        }
        reasons
    }

    /// Sequential: whether one that was given out has no result yet.
    fn is_under_way(&self) -> bool {
        self.count("done") + self.count("again") < self.count("next")
    }

    /// Sequential: the test whose turn it is.
    fn turn(&self) -> Option<u32> {
        if !self.is_under_way() {
            return number(self.facts, "again_head").or(number(self.facts, "next"));
        }
        // In a run that gives out again what was tried before, the one that is out is not the last of those that were.
        let fresh = self.count("again") == 0 && self.count("next") < self.count("total");
        fresh.then(|| self.count("next").saturating_sub(1))
    }

    fn order_of(&self, index: u32) -> Option<Reason> {
        if self.facts.contains_key("delayed_until") {
            return None;
        }
        let ahead = match number::<u32>(self.facts, "again_place") {
            Some(place) => place,
            None => self.count("again") + index.saturating_sub(self.count("next")),
        };
        let tests_before = ahead + u32::from(self.is_under_way());
        (tests_before > 0).then(|| Reason::Sequential {
            before: self.turn(),
            tests_before,
        })
    }

    /// Whether there is something to claim as far as the run is concerned, so that it matters what else there is.
    fn gives_out(&self) -> bool {
        match self.index {
            None => self.pending() > 0,
            Some(index) => self.facts.contains_key("again_place") || index >= self.count("next"),
        }
    }

    fn about_what_it_may_use(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let held = self.count("held");
        for (budget, in_flight) in [("requests", held), ("tokens", 0), ("cost", 0)] {
            let Some(of) = self.real(&format!("budget_{budget}")) else {
                continue;
            };
            let spent = self.real(&format!("spent_{budget}")).unwrap_or(0.0) + f64::from(in_flight);
            if spent >= of {
                reasons.push(Reason::Budget { budget, spent, of });
            }
        }
        let max = self.count("cap");
        // A Sequential run has said so already.
        if held >= max && max > 0 && !self.is_sequential() {
            reasons.push(Reason::RunCap { in_flight: held, max });
        }
        reasons
    }

    /// What the admission named comes first; the rest is what would stand in the way then.
    fn about_the_endpoint(&self) -> Vec<Reason> {
        if self.real("room").is_none_or(|room| room >= 1.0) {
            return Vec::new();
        }
        let first = self.text("limited_by");
        let words = [
            "hold",
            "retry_after",
            "breaker",
            "max_concurrency",
            "adaptive",
            "tokens",
            "rate",
        ];
        let others = words.iter().filter(|word| **word != first);
        let mut reasons = Vec::new();
        reasons.extend(self.endpoint_limit(&first, true));
        reasons.extend(others.filter_map(|word| self.endpoint_limit(word, false)));
        reasons
    }

    /// `named`: the admission says it is this one.
    fn endpoint_limit(&self, word: &str, named: bool) -> Option<Reason> {
        let in_flight = self.count("going_on");
        match word {
            "hold" => {
                let until_ms = self.later("hold_until");
                (until_ms.is_some() || self.text("hold_until") == "-1").then(|| Reason::Hold {
                    until_ms,
                    why: self.text("hold_reason"),
                })
            }
            "retry_after" => self
                .later("retry_until")
                .map(|until_ms| Reason::RetryAfter { until_ms }),
            "breaker" => {
                let until_ms = self.later("open_until");
                (until_ms.is_some() || named).then_some(Reason::Breaker { until_ms })
            }
            "max_concurrency" => {
                let max = number(self.facts, "max_concurrency").or(named.then_some(1))?;
                (named || in_flight >= max).then(|| Reason::MaxConcurrency {
                    in_flight,
                    lingering: self.count("lingering"),
                    max,
                })
            }
            "adaptive" => {
                let limit = self.real("limit")?;
                (named || f64::from(in_flight) >= limit.floor().max(1.0)).then(|| Reason::Adaptive {
                    in_flight,
                    limit,
                    since_ms: time(self.facts, "decreased_ms"),
                })
            }
            "rate" => named.then(|| Reason::Rate {
                until_ms: time(self.facts, "room_at"),
                rate: read_rate(&self.text("rate")),
            }),
            "tokens" => named.then(|| Reason::Tokens {
                until_ms: time(self.facts, "room_at"),
                budget: read_rate(&self.text("tokens")),
            }),
            _ => None,
        }
    }

    fn about_the_fleet(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let room = self.real("fleet_room").unwrap_or(1.0);
        if let Some(max) = self.real("fleet_max").filter(|_| room < 1.0) {
            reasons.push(Reason::FleetCap {
                in_flight: (max - room) as u64,
                max: max as u64,
            });
        }
        let (workers, running) = (self.count("workers"), self.count("workers_running"));
        if workers == 0 {
            reasons.push(Reason::NoWorker);
        } else if running == 0 {
            reasons.push(Reason::WorkersDraining { workers });
        } else if self.count("workers_free") == 0 {
            reasons.push(Reason::WorkersBusy { workers: running });
        }
        reasons
    }

    fn in_line(&self) -> Reason {
        let waits = ["place", "tenant_place"]
            .iter()
            .all(|name| self.facts.contains_key(*name));
        let offered = self.facts.contains_key("endpoint_place") || self.facts.contains_key("wakes_at");
        if !waits || !offered {
            return Reason::Misplaced;
        }
        self.behind().unwrap_or(Reason::Ready)
    }

    /// Who comes first; `None` when nobody does.
    fn behind(&self) -> Option<Reason> {
        let tests_before = match (self.index, number::<u32>(self.facts, "again_place")) {
            // In a Sequential run those before it are no matter of fairness.
            _ if self.is_sequential() => 0,
            (None, _) => 0,
            (Some(_), Some(place)) => place,
            (Some(index), None) => self.count("again") + index.saturating_sub(self.count("next")),
        };
        let before = [
            tests_before,
            self.count("place"),
            self.count("tenant_place"),
            self.count("endpoint_place"),
        ];
        before.iter().any(|count| *count > 0).then(|| Reason::Fairness {
            tests_before,
            runs_before: before[1],
            tenants_before: before[2],
            endpoints_before: before[3],
        })
    }
}

/// `worker|fence|attempt|lost|claimed_ms|begun_ms`; the worker's name may have such a sign too.
fn running(owner: &str) -> Option<Reason> {
    let mut parts = owner.rsplitn(6, '|');
    let _begun = parts.next()?;
    let since_ms = parts.next()?.parse().ok()?;
    let _lost = parts.next()?;
    let attempt = parts.next()?.parse().ok()?;
    let _fence = parts.next()?;
    Some(Reason::Running {
        worker: parts.next()?.to_owned(),
        since_ms,
        attempt,
    })
}
