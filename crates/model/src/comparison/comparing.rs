//! The rules by which two runs are compared.
//!
//! * A test is compared when something came of it in both runs. Passing is better than everything else; what else it is (fail,
//!   error, inconclusive) makes it neither better nor worse.
//! * A test that was repeated in one of them is better or worse when Fisher's exact test says so. With so few repetitions that
//!   not even all against none would be significant, its status is compared as that of any other test.
//! * A test whose verdict stays may be better or worse by a score or its time, where the rules have a tolerance for that.

use std::collections::BTreeMap;

use super::change::{Change, ChangeKind, Comparison, PairedChange, Standing};
use super::direction::Direction;
use super::outcome::{Outcomes, TestOutcome};
use super::statistic::{fisher_exact, sign_test};
use crate::configuration::ComparisonRules;
use crate::state::Status;

/// Changes that a summary lists.
pub const MAX_LISTED_CHANGES: usize = 50;

/// Compares a run with an earlier one. Lists at most so many changes, the worst.
#[must_use]
pub fn compare(before: &Outcomes, after: &Outcomes, rules: &ComparisonRules, most_listed: usize) -> Comparison {
    let mut comparing = Comparing::new(before, after, rules);
    for (id, then) in &before.tests {
        match after.tests.get(id) {
            Some(now) => comparing.pair(id, then, now),
            None => comparing.one_sided(id, ChangeKind::Removed, then),
        }
    }
    for (id, now) in &after.tests {
        if !before.tests.contains_key(id) {
            comparing.one_sided(id, ChangeKind::New, now);
        }
    }
    comparing.finish(most_listed)
}

/// Index of a metric before → index now, and which way it is better.
type Known = BTreeMap<u16, (u16, Direction)>;

fn known_metrics(before: &Outcomes, after: &Outcomes) -> Known {
    let number = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    let mut known = Known::new();
    for (then, metric) in before.metrics.iter().enumerate() {
        if let Some(now) = after.metrics.iter().position(|other| other == metric) {
            known.insert(number(then), (number(now), Direction::of(&metric.1)));
        }
    }
    known
}

struct Comparing<'a> {
    rules: &'a ComparisonRules,
    /// Of the later run.
    metrics: &'a [(String, String)],
    known: Known,
    counts: BTreeMap<ChangeKind, u32>,
    unchanged: u32,
    not_compared: u32,
    passed_before: u32,
    passed_after: u32,
    only_before: u32,
    only_after: u32,
    scores: BTreeMap<u16, Pairs>,
    latency: Pairs,
    /// With how much worse it became, for the order.
    changes: Vec<(f64, Change)>,
}

impl<'a> Comparing<'a> {
    fn new(before: &Outcomes, after: &'a Outcomes, rules: &'a ComparisonRules) -> Self {
        Self {
            rules,
            metrics: &after.metrics,
            known: known_metrics(before, after),
            counts: BTreeMap::new(),
            unchanged: 0,
            not_compared: 0,
            passed_before: 0,
            passed_after: 0,
            only_before: 0,
            only_after: 0,
            scores: BTreeMap::new(),
            latency: Pairs::default(),
            changes: Vec::new(),
        }
    }

    fn one_sided(&mut self, id: &str, change: ChangeKind, outcome: &TestOutcome) {
        let standing = Some(Standing::from(outcome));
        let (before, after) = if change == ChangeKind::Removed {
            (standing, None)
        } else {
            (None, standing)
        };
        let told = Change {
            test_id: id.to_owned(),
            change,
            before,
            after,
            p_value: None,
            reason: None,
        };
        self.record(0.0, told);
    }

    fn pair(&mut self, id: &str, then: &TestOutcome, now: &TestOutcome) {
        if then.executed == 0 || now.executed == 0 {
            self.not_compared += 1;
            return;
        }
        let passes = |outcome: &TestOutcome| outcome.status == Status::Pass;
        self.passed_before += u32::from(passes(then));
        self.passed_after += u32::from(passes(now));
        self.only_before += u32::from(passes(then) && !passes(now));
        self.only_after += u32::from(!passes(then) && passes(now));
        let moved = self.add_numbers(then, now);
        let fisher = (then.executed > 1 || now.executed > 1)
            .then(|| fisher_exact(then.passed, then.executed, now.passed, now.executed));
        let by_verdict = self.by_verdict(then, now, fisher);
        let (change, worse, reason) = match (by_verdict, moved) {
            (Some(change), _) => (change, rate(then) - rate(now), None),
            // Numbers beside the verdict do not settle what repetitions left open.
            (None, Some((change, reason))) => (change, 0.0, Some(reason)),
            (None, None) => {
                self.unchanged += 1;
                return;
            }
        };
        let told = Change {
            test_id: id.to_owned(),
            change,
            before: Some(Standing::from(then)),
            after: Some(Standing::from(now)),
            p_value: fisher,
            reason,
        };
        self.record(worse, told);
    }

    /// `None` when the verdicts are the same.
    fn by_verdict(&self, then: &TestOutcome, now: &TestOutcome, fisher: Option<f64>) -> Option<ChangeKind> {
        let alpha = self.rules.alpha;
        let status_changed = (then.status == Status::Pass) != (now.status == Status::Pass);
        let by_status = || match (status_changed, now.status == Status::Pass) {
            (false, _) => None,
            (true, true) => Some(ChangeKind::Improved),
            (true, false) => Some(ChangeKind::Regressed),
        };
        let Some(p_value) = fisher else { return by_status() };
        if fisher_exact(then.executed, then.executed, 0, now.executed) > alpha {
            return by_status();
        }
        match p_value <= alpha {
            true if rate(now) < rate(then) => Some(ChangeKind::Regressed),
            true => Some(ChangeKind::Improved),
            false => status_changed.then_some(ChangeKind::Uncertain),
        }
    }

    /// Counts scores and times, and says which of them moved beyond its tolerance; what became worse before what became
    /// better.
    fn add_numbers(&mut self, then: &TestOutcome, now: &TestOutcome) -> Option<(ChangeKind, String)> {
        let mut moved: Vec<(ChangeKind, String)> = Vec::new();
        for (metric, before) in &then.scores {
            let Some((number, direction)) = self.known.get(metric).copied() else {
                continue;
            };
            let Some((_, after)) = now.scores.iter().find(|(known, _)| *known == number) else {
                continue;
            };
            self.scores.entry(number).or_default().add(*before, *after);
            let gain = direction.gain(*before, *after);
            if let Some((gain, tolerance)) = gain.zip(self.rules.score_tolerance)
                // What is exactly the tolerance in decimal must not be beyond it in binary.
                && gain.abs() > tolerance + 1e-9
            {
                let name = self.name(number).unwrap_or_default();
                let reason = format!("{name}: {} → {}", short(*before), short(*after));
                moved.push((kind_of(gain), reason));
            }
        }
        if let Some((before, after)) = then.latency_ms.zip(now.latency_ms) {
            self.latency.add(before, after);
            if let Some(tolerance) = self.rules.latency_tolerance {
                let (slower, faster) = (before * (1.0 + tolerance), after * (1.0 + tolerance));
                if after > slower || before > faster {
                    let reason = format!("latency: {} ms → {} ms", short(before), short(after));
                    moved.push((kind_of(before - after), reason));
                }
            }
        }
        moved.into_iter().min_by_key(|(kind, _)| *kind)
    }

    fn record(&mut self, worse: f64, change: Change) {
        *self.counts.entry(change.change).or_default() += 1;
        self.changes.push((worse, change));
    }

    fn name(&self, number: u16) -> Option<&str> {
        self.metrics.get(usize::from(number)).map(|(name, _)| name.as_str())
    }

    fn finish(mut self, most_listed: usize) -> Comparison {
        // Worst first: by kind, then by how much. The sort is stable, so the rest stays in the order of names.
        self.changes.sort_by(|(worse, one), (other_worse, other)| {
            let by_kind = one.change.cmp(&other.change);
            by_kind.then_with(|| other_worse.abs().total_cmp(&worse.abs()))
        });
        let count = |kind| self.counts.get(&kind).copied().unwrap_or(0);
        let scores = self
            .scores
            .iter()
            .filter_map(|(number, pairs)| Some((self.name(*number)?.to_owned(), pairs.told()?)))
            .collect();
        let p_value = sign_test(self.only_before, self.only_after);
        let unlisted = self.changes.len().saturating_sub(most_listed);
        Comparison {
            improved: count(ChangeKind::Improved),
            regressed: count(ChangeKind::Regressed),
            unchanged: self.unchanged + count(ChangeKind::Uncertain),
            uncertain: count(ChangeKind::Uncertain),
            new: count(ChangeKind::New),
            removed: count(ChangeKind::Removed),
            not_compared: self.not_compared,
            passed_before: self.passed_before,
            passed_after: self.passed_after,
            p_value,
            alpha: self.rules.alpha,
            significant: p_value <= self.rules.alpha,
            scores,
            latency_ms: self.latency.told(),
            unlisted: u32::try_from(unlisted).unwrap_or(u32::MAX),
            listed: self
                .changes
                .into_iter()
                .take(most_listed)
                .map(|(_, change)| change)
                .collect(),
        }
    }
}

/// Sums over tests that have a number in both runs.
#[derive(Default)]
struct Pairs {
    tests: u32,
    before: f64,
    after: f64,
    rose: u32,
    fell: u32,
}

impl Pairs {
    fn add(&mut self, before: f64, after: f64) {
        self.tests += 1;
        self.before += before;
        self.after += after;
        self.rose += u32::from(after > before);
        self.fell += u32::from(after < before);
    }

    fn told(&self) -> Option<PairedChange> {
        let mean = |sum: f64| (sum / f64::from(self.tests)).clamp(f64::MIN, f64::MAX);
        (self.tests > 0).then(|| PairedChange {
            tests: self.tests,
            mean_before: mean(self.before),
            mean_after: mean(self.after),
            rose: self.rose,
            fell: self.fell,
            p_value: sign_test(self.rose, self.fell),
        })
    }
}

fn rate(outcome: &TestOutcome) -> f64 {
    f64::from(outcome.passed) / f64::from(outcome.executed.max(1))
}

fn kind_of(gain: f64) -> ChangeKind {
    if gain < 0.0 {
        ChangeKind::Regressed
    } else {
        ChangeKind::Improved
    }
}

/// At most three digits after the point.
fn short(number: f64) -> String {
    let fixed = format!("{number:.3}");
    fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
#[path = "comparing_test.rs"]
mod tests;
