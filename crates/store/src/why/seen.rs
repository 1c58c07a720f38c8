//! From what was seen in one look to the reasons, the first that stands in the way first.
use testfleet_model::{ExecutionMode, RunState};

use super::Reason;
use crate::submission::RUN_FORMAT;
use crate::view::limit::{Facts, number, read_rate, time};

/// What was seen in one look.
pub(super) struct Seen<'a> {
    pub(super) facts: &'a Facts,
    pub(super) index: Option<u32>,
}

impl Seen<'_> {
    pub(super) fn text(&self, name: &str) -> String {
        self.facts.get(name).cloned().unwrap_or_default()
    }

    fn real(&self, name: &str) -> Option<f64> {
        number::<f64>(self.facts, name).filter(|value| value.is_finite())
    }

    pub(super) fn count(&self, name: &str) -> u32 {
        // Below zero there is none, whatever was counted.
        self.real(name).unwrap_or(0.0) as u32
    }

    pub(super) fn now(&self) -> i64 {
        time(self.facts, "now").unwrap_or(0)
    }

    /// A time that has not come yet.
    fn later(&self, name: &str) -> Option<i64> {
        time(self.facts, name).filter(|ms| *ms > self.now())
    }

    fn is_sequential(&self) -> bool {
        self.text("mode") == ExecutionMode::Sequential.name()
    }

    pub(super) fn pending(&self) -> u32 {
        self.count("again") + self.count("total").saturating_sub(self.count("next"))
    }

    pub(super) fn reasons(&self) -> Vec<Reason> {
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
