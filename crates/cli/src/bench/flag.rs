//! What was asked for on the command line, and which workloads that makes sense for.

use std::time::Duration;

use testfleet_model::ExecutionMode;

use super::workload::Workload;
use crate::exit::Failure;

/// What was asked for; `None` leaves it to the workload.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Tests of a run.
    pub tests: Option<u32>,
    /// Runs of one measurement.
    pub runs: Option<u32>,
    /// How tests are released.
    pub mode: Option<ExecutionMode>,
    /// Workers.
    pub workers: Option<u32>,
    /// Whether they are processes of their own.
    pub separate: bool,
    /// Tests in flight in each worker.
    pub concurrency: Option<u32>,
    /// How long a call takes.
    pub latency: Option<Duration>,
    /// Whether the endpoint has every limit there is, each too high to be met, and the run a tenant, a priority and a budget.
    pub limits: bool,
    /// Whether a private server writes an append-only file.
    pub append_only: bool,
    /// How often to measure.
    pub repeat: Option<u32>,
    /// Whether sizes are for a minute rather than for numbers to rely on.
    pub quick: bool,
}

/// A flag that not every workload takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Tests,
    Runs,
    Mode,
    Workers,
    Separate,
    Concurrency,
    Latency,
    Limits,
}

impl Flag {
    const ALL: [Self; 8] = [
        Self::Tests,
        Self::Runs,
        Self::Mode,
        Self::Workers,
        Self::Separate,
        Self::Concurrency,
        Self::Latency,
        Self::Limits,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Tests => "--tests",
            Self::Runs => "--runs",
            Self::Mode => "--mode",
            Self::Workers => "--workers",
            Self::Separate => "--separate",
            Self::Concurrency => "--concurrency",
            Self::Latency => "--latency",
            Self::Limits => "--limits",
        }
    }

    /// Whether it says how the fleet is set up rather than how large a workload is, and so means the same to all that take it.
    fn is_common(self) -> bool {
        matches!(self, Self::Workers | Self::Separate | Self::Limits)
    }
}

impl Given {
    fn has(&self, flag: Flag) -> bool {
        match flag {
            Flag::Tests => self.tests.is_some(),
            Flag::Runs => self.runs.is_some(),
            Flag::Mode => self.mode.is_some(),
            Flag::Workers => self.workers.is_some(),
            Flag::Separate => self.separate,
            Flag::Concurrency => self.concurrency.is_some(),
            Flag::Latency => self.latency.is_some(),
            Flag::Limits => self.limits,
        }
    }

    /// The same without what a workload does not take.
    pub(super) fn only(&self, taken: &[Flag]) -> Self {
        let mut only = self.clone();
        for flag in Flag::ALL.into_iter().filter(|flag| !taken.contains(flag)) {
            match flag {
                Flag::Tests => only.tests = None,
                Flag::Runs => only.runs = None,
                Flag::Mode => only.mode = None,
                Flag::Workers => only.workers = None,
                Flag::Separate => only.separate = false,
                Flag::Concurrency => only.concurrency = None,
                Flag::Latency => only.latency = None,
                Flag::Limits => only.limits = false,
            }
        }
        only
    }

    /// Whether everything that was given makes sense: for each of the workloads named, or somewhere in the suite.
    pub(super) fn check(&self, workloads: &[Workload], suite: bool) -> Result<(), Failure> {
        for flag in Flag::ALL.into_iter().filter(|flag| self.has(*flag)) {
            if suite && !flag.is_common() {
                return Err(Failure::usage(format!(
                    "{} does not go with --suite, whose workloads have sizes of their own; name a workload, or give --quick for \
                     smaller sizes",
                    flag.name()
                )));
            }
            let without = workloads.iter().find(|workload| !workload.takes().contains(&flag));
            if let Some(workload) = without.filter(|_| !suite) {
                let takers = Workload::all()
                    .iter()
                    .filter(|workload| workload.takes().contains(&flag));
                let takers: Vec<String> = takers.map(|workload| workload.name()).collect();
                return Err(Failure::usage(format!(
                    "{} means nothing to the workload {}; it is for {}",
                    flag.name(),
                    workload.name(),
                    takers.join(", ")
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_latency() -> Given {
        Given {
            latency: Some(Duration::from_millis(5)),
            ..Given::default()
        }
    }

    #[test]
    fn a_flag_that_means_nothing_is_refused_and_says_where_it_does() {
        let refused = with_latency().check(&[Workload::Http, Workload::Chain], false);
        let message = refused.unwrap_err().message().to_owned();
        assert_eq!(
            message,
            "--latency means nothing to the workload chain; it is for http, judged, in-flight"
        );
        assert!(with_latency().check(&[Workload::Http], false).is_ok());
    }

    #[test]
    fn a_suite_takes_what_is_common_and_gives_it_to_those_that_take_it() {
        let given = Given {
            limits: true,
            workers: Some(2),
            ..Given::default()
        };
        assert!(given.check(Workload::all(), true).is_ok());
        let refused = with_latency().check(Workload::all(), true).unwrap_err();
        assert!(refused.message().contains("--quick"), "{}", refused.message());
        let only = given.only(Workload::Dispatch.takes());
        assert_eq!((only.limits, only.workers), (true, None));
    }

    #[test]
    fn every_flag_is_taken_by_somebody() {
        for flag in Flag::ALL {
            assert!(
                Workload::all().iter().any(|workload| workload.takes().contains(&flag)),
                "{flag:?}"
            );
        }
    }
}
