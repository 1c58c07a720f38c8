//! One thing to measure: how much of what, and on which fleet.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use testfleet_model::{ExecutionMode, duration};

use super::flag::Given;
use super::workload::Workload;

/// Measurements of a plan where nobody said how many.
const REPEAT: u32 = 3;

/// What a worker does with a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Pass it at once
    Nothing,
    /// Pass it after the latency
    Wait,
    /// Execute it, as a worker of a fleet does
    Call,
    /// Never end a first attempt
    Hold,
}

/// What becomes of answers that are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Judged {
    /// `max_concurrency` of the endpoint.
    pub(super) places: u32,
    /// How long the judge takes.
    #[serde(with = "duration")]
    pub(super) latency: Duration,
}

/// What is measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plan {
    pub(super) workload: Workload,
    /// Which case of the workload, such as `4 workers`; `None` where there is one.
    pub(super) case: Option<String>,
    /// Tests of one run.
    pub(super) tests: u32,
    /// Runs of one measurement.
    pub(super) runs: u32,
    /// Whether each run has an endpoint of its own.
    pub(super) own_endpoints: bool,
    pub(super) mode: ExecutionMode,
    /// 0 where no worker takes part.
    pub(super) workers: u32,
    /// Whether they are processes of their own.
    pub(super) separate: bool,
    /// Tests in flight in each worker.
    pub(super) concurrency: u32,
    pub(super) work: Work,
    /// How long a call takes.
    #[serde(with = "duration::optional")]
    pub(super) latency: Option<Duration>,
    /// Whether and how answers are judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) judged: Option<Judged>,
    /// Whether there is every limit, none of which is met.
    pub(super) limits: bool,
    pub(super) append_only: bool,
    /// How often it is measured.
    pub(super) repeat: u32,
    #[serde(skip)]
    pub(super) quick: bool,
}

impl Plan {
    /// A run of one test that does nothing, by one worker, where nothing else was asked for.
    pub(super) fn new(workload: Workload, given: &Given, concurrency: u32) -> Self {
        Self {
            workload,
            case: None,
            tests: given.tests.unwrap_or(1),
            runs: given.runs.unwrap_or(1),
            own_endpoints: false,
            mode: given.mode.unwrap_or_default(),
            workers: given.workers.unwrap_or(1),
            separate: given.separate,
            concurrency: given.concurrency.unwrap_or(concurrency),
            work: Work::Nothing,
            latency: None,
            judged: None,
            limits: given.limits,
            append_only: given.append_only,
            repeat: given.repeat.unwrap_or(if given.quick { 1 } else { REPEAT }),
            quick: given.quick,
        }
    }

    /// A size, or the one for a minute's worth.
    pub(super) fn size(&self, full: u32, quick: u32) -> u32 {
        if self.quick { quick } else { full }
    }

    /// Tests of one measurement.
    pub(super) fn jobs(&self) -> f64 {
        f64::from(self.tests) * f64::from(self.runs)
    }

    /// Tests that all workers together take at once.
    pub(super) fn room(&self) -> u32 {
        self.workers.saturating_mul(self.concurrency)
    }

    /// `batch, 64 per call`
    pub(super) fn title(&self) -> String {
        let name = self.workload.name();
        match &self.case {
            Some(case) => format!("{name}, {case}"),
            None => name,
        }
    }
}

impl fmt::Display for Plan {
    /// What it is made of, for people: one line without the workload's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.runs > 1 {
            write!(f, "{} runs of ", self.runs)?;
        }
        write!(f, "{} test{}", self.tests, if self.tests == 1 { "" } else { "s" })?;
        if self.own_endpoints {
            write!(f, " at an endpoint each")?;
        }
        write!(f, ", {}", self.mode)?;
        match (self.workers, self.separate) {
            (0, _) => write!(f, ", no worker")?,
            (1, true) => write!(f, ", 1 worker process")?,
            (several, true) => write!(f, ", {several} worker processes")?,
            (1, false) => write!(f, ", 1 worker in this process")?,
            (several, false) => write!(f, ", {several} workers in this process")?,
        }
        match (self.workers, self.concurrency) {
            (0, _) => {}
            (_, 1) => write!(f, ", 1 test in flight each")?,
            (_, several) => write!(f, ", {several} tests in flight each")?,
        }
        if let Some(latency) = self.latency {
            write!(f, ", {} per call", duration::format(latency))?;
        }
        if let Some(Judged { places, latency }) = self.judged {
            write!(f, ", {places} places, a judge of {}", duration::format(latency))?;
        }
        if self.limits {
            write!(f, ", every limit")?;
        }
        if self.append_only {
            write!(f, ", append-only file")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_it_is_made_of() {
        let given = Given {
            tests: Some(8),
            runs: Some(500),
            workers: Some(2),
            separate: true,
            limits: true,
            ..Given::default()
        };
        let plan = Plan::new(Workload::Runs, &given, 256);
        assert_eq!(
            plan.to_string(),
            "500 runs of 8 tests, Parallel, 2 worker processes, 256 tests in flight each, every limit"
        );
        assert_eq!((plan.jobs(), plan.room(), plan.repeat), (4_000.0, 512, 3));
    }

    #[test]
    fn quick_measures_once_unless_asked_to_repeat() {
        let quick = Given {
            quick: true,
            ..Given::default()
        };
        let plan = Plan::new(Workload::FanOut, &quick, 256);
        assert_eq!((plan.repeat, plan.size(100, 10)), (1, 10));
        let again = Given {
            repeat: Some(5),
            ..quick
        };
        assert_eq!(Plan::new(Workload::FanOut, &again, 256).repeat, 5);
    }
}
