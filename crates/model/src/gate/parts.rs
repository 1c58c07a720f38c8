//! The parts of a run that gates are about, counted while the run is.

use super::expression::Expression;
use super::filter::Filter;
use super::measure::metric_name;
use super::{Figures, GateResult, Seen};
use crate::comparison::Comparison;
use crate::configuration::{GateRule, RepeatPolicy};
use crate::summary::{ResultDigest, ResultLabels, Summary, Tally};

/// The most different parts that the gates of a configuration may be about; each takes the memory of a [`Tally`].
pub const MAX_FILTERS: usize = 16;

/// Counts the parts of a run that its gates are about, and holds the gates against what they come to.
#[derive(Clone, Debug)]
pub struct PartialRun {
    rules: Vec<(GateRule, Reading)>,
    parts: Vec<Part>,
    /// Results whose labels could not be read: they may belong to any part.
    unreadable: u32,
}

/// A gate whose condition and filters were read; else why not.
type Reading = Result<(Expression, Option<usize>), String>;

#[derive(Clone, Debug)]
struct Part {
    filters: Vec<Filter>,
    tests: u32,
    tally: Tally,
}

impl PartialRun {
    /// The parts of the run that these gates are about.
    #[must_use]
    pub fn new(rules: &[GateRule], policy: RepeatPolicy) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let read = |rule: &GateRule, parts: &mut Vec<Part>| -> Reading {
            let expression = Expression::parse(&rule.gate).map_err(|problems| problems.join("; "))?;
            if rule.filters.is_empty() {
                return Ok((expression, None));
            }
            let mut filters = Vec::with_capacity(rule.filters.len());
            for text in &rule.filters {
                filters.push(Filter::parse(text).map_err(|problem| problem.to_string())?);
            }
            filters.sort();
            filters.dedup();
            let known = parts.iter().position(|part| part.filters == filters);
            let at = match known {
                Some(at) => at,
                None if parts.len() >= MAX_FILTERS => {
                    return Err(format!("gates may be about {MAX_FILTERS} different parts of a run"));
                }
                None => {
                    let mut tally = Tally::default();
                    tally.set_repeat_policy(policy);
                    parts.push(Part {
                        filters,
                        tests: 0,
                        tally,
                    });
                    parts.len() - 1
                }
            };
            if let (Some(name), Some(part)) = (metric_name(&expression.measure), parts.get_mut(at)) {
                part.tally.want_metric(name);
            }
            Ok((expression, Some(at)))
        };
        let rules = rules
            .iter()
            .map(|rule| (rule.clone(), read(rule, &mut parts)))
            .collect();
        Self {
            rules,
            parts,
            unreadable: 0,
        }
    }

    /// Whether results have to be added with their labels.
    #[must_use]
    pub fn needs_labels(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The metrics that gates over the whole run name.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.rules
            .iter()
            .filter_map(|(_, reading)| reading.as_ref().ok())
            .filter_map(|(expression, _)| metric_name(&expression.measure))
    }

    /// Counts a result that was not counted before. Without labels it counts as an error of every part: nobody can say that
    /// it is not one of its tests.
    pub fn add(&mut self, result: &ResultDigest, labels: Option<&ResultLabels>) {
        let Some(labels) = labels else {
            self.add_unreadable();
            return;
        };
        for part in &mut self.parts {
            if part.filters.iter().all(|filter| filter.matches(&labels.tags)) {
                part.tests += 1;
                part.tally.add(result);
            }
        }
    }

    /// Counts a test whose result cannot be read.
    pub fn add_unreadable(&mut self) {
        self.unreadable += 1;
    }

    /// Holds every gate against the run, in the order of the configuration. `baseline`: the comparison with it, else why there
    /// is none.
    #[must_use]
    pub fn evaluate(&self, summary: &Summary, baseline: Result<&Comparison, &str>) -> Vec<GateResult> {
        let whole = Figures::of(summary);
        let parts: Vec<Figures> = self
            .parts
            .iter()
            .map(|part| part.tally.figures(part.tests.saturating_add(self.unreadable)))
            .collect();
        let figures = |at: Option<usize>| at.and_then(|at| parts.get(at)).unwrap_or(&whole);
        self.rules
            .iter()
            .map(|(rule, reading)| match reading {
                Err(problem) => GateResult::unknown(rule, format!("it cannot be read: {problem}")),
                Ok((_, Some(at))) if figures(Some(*at)).total == 0 => {
                    let filters = rule.filters.join(" and ");
                    GateResult::unknown(rule, format!("no test of the run has {filters}"))
                }
                Ok((expression, at)) => {
                    let figures = figures(*at);
                    GateResult::of(rule, expression, Seen { figures, baseline })
                }
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "parts_test.rs"]
mod tests;
