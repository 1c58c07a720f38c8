//! The numbers of a benchmark: which there are, in which unit, and how those of several runs are summed up.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// A number that can be measured, in the order in which people are shown them. "Per job" is per test: what was spent on a whole
/// run, its staging and its collection included, over the number of its tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    /// From the first submission to the last activation, seconds, by our clock.
    StagingS,
    /// From the first submission to the last summary, seconds.
    TotalS,
    /// Tests a second: from the first activation to the last summary, or of what alone is measured.
    JobsPerS,
    /// Over the time that latency and tests in flight alone would take: 1 is the best there can be.
    OverIdeal,
    /// Jobs a second of the bare sequence of commands.
    BareJobsPerS,
    /// Of the rate of the bare sequence, ours with staging and collection, 0 to 1.
    OfBare,
    /// From the submission to the first call, milliseconds: half of the submissions are not slower.
    FirstCallP50Ms,
    /// The same of 99 in 100.
    FirstCallP99Ms,
    /// Processor time of the server, user and system, per job, microseconds.
    ServerCpuUsPerJob,
    /// Scripts and waits that were sent to the server, per job.
    CallsPerJob,
    /// Commands per job, those inside of scripts included.
    CommandsPerJob,
    /// Processor time of all our processes (this one and separate workers), per job, microseconds.
    ProcessCpuUsPerJob,
    /// Processor time of the stub, per job, microseconds.
    StubCpuUsPerJob,
    /// The most memory a process with workers has had, MiB.
    WorkerRssMib,
    /// The most memory the server has used since it started, MiB.
    ServerPeakMib,
    /// What the server needs for a test that waits, bytes.
    ServerBytesPerTest,
    /// How large that test is as stored, bytes.
    PayloadBytes,
}

impl Figure {
    pub(super) const ALL: [Self; 17] = [
        Self::StagingS,
        Self::TotalS,
        Self::JobsPerS,
        Self::OverIdeal,
        Self::BareJobsPerS,
        Self::OfBare,
        Self::FirstCallP50Ms,
        Self::FirstCallP99Ms,
        Self::ServerCpuUsPerJob,
        Self::CallsPerJob,
        Self::CommandsPerJob,
        Self::ProcessCpuUsPerJob,
        Self::StubCpuUsPerJob,
        Self::WorkerRssMib,
        Self::ServerPeakMib,
        Self::ServerBytesPerTest,
        Self::PayloadBytes,
    ];

    /// Its name in JSON.
    pub(super) fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => name,
            _ => String::new(),
        }
    }

    /// What people are shown, in few words where there is no room, and the digits behind the point.
    fn shown(self) -> (&'static str, &'static str, usize) {
        match self {
            Self::StagingS => ("staging, s", "staging s", 3),
            Self::TotalS => ("total, s", "total s", 3),
            Self::JobsPerS => ("jobs/s", "jobs/s", 0),
            Self::OverIdeal => ("time over the ideal one, x", "x ideal", 3),
            Self::BareJobsPerS => ("bare sequence, jobs/s", "bare jobs/s", 0),
            Self::OfBare => ("rate over the bare one, x", "x bare", 3),
            Self::FirstCallP50Ms => ("submission to first call, p50, ms", "p50 ms", 2),
            Self::FirstCallP99Ms => ("submission to first call, p99, ms", "p99 ms", 2),
            Self::ServerCpuUsPerJob => ("server cpu, us/job", "server us", 2),
            Self::CallsPerJob => ("calls/job", "calls", 3),
            Self::CommandsPerJob => ("commands/job, in scripts too", "commands", 2),
            Self::ProcessCpuUsPerJob => ("our processes' cpu, us/job", "ours us", 2),
            Self::StubCpuUsPerJob => ("stub cpu, us/job", "stub us", 2),
            Self::WorkerRssMib => ("worker process rss, peak, MiB", "worker MiB", 1),
            Self::ServerPeakMib => ("server memory, peak, MiB", "server MiB", 1),
            Self::ServerBytesPerTest => ("server memory, bytes/waiting test", "bytes/test", 0),
            Self::PayloadBytes => ("payload, bytes/test", "payload", 0),
        }
    }

    /// What it is, with its unit.
    pub(super) fn title(self) -> &'static str {
        self.shown().0
    }

    /// The same in few words.
    pub(super) fn short(self) -> &'static str {
        self.shown().1
    }

    /// A value of it, in its unit.
    pub(super) fn format(self, value: f64) -> String {
        format!("{value:.*}", self.shown().2)
    }
}

/// What one measurement gave. A figure that was not measured, or that the system does not tell, is not there.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Measured(BTreeMap<Figure, f64>);

impl Measured {
    #[must_use]
    pub(super) fn with(mut self, figure: Figure, value: f64) -> Self {
        self.0.insert(figure, value);
        self
    }

    /// Nothing is put down when there is no value.
    #[must_use]
    pub(super) fn with_known(self, figure: Figure, value: Option<f64>) -> Self {
        match value {
            Some(value) => self.with(figure, value),
            None => self,
        }
    }

    pub(super) fn get(&self, figure: Figure) -> Option<f64> {
        self.0.get(&figure).copied()
    }

    /// The figure as text, `-` when it is not there.
    pub(super) fn text(&self, figure: Figure) -> String {
        self.get(figure)
            .map_or_else(|| "-".to_owned(), |value| figure.format(value))
    }

    /// From a JSON object with names of figures; what is none of them, or no number, is passed over.
    pub(super) fn read(object: &Value) -> Self {
        let known = Figure::ALL
            .into_iter()
            .filter_map(|figure| Some((figure, object.get(figure.name())?.as_f64()?)));
        Self(known.collect())
    }
}

/// Each figure by itself: the smallest, the median and the largest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) min: Measured,
    pub(super) median: Measured,
    pub(super) max: Measured,
}

impl Spread {
    /// `None` without any measurement. A figure that one of them lacks is left out.
    pub(super) fn of(measured: &[Measured]) -> Option<Self> {
        if measured.is_empty() {
            return None;
        }
        let of_each = |pick: fn(&[f64]) -> Option<f64>| {
            let picked = Figure::ALL.into_iter().filter_map(|figure| {
                let values: Option<Vec<f64>> = measured.iter().map(|one| one.get(figure)).collect();
                Some((figure, pick(&ranked(values?))?))
            });
            Measured(picked.collect())
        };
        Some(Self {
            min: of_each(|ranked| ranked.first().copied()),
            median: of_each(median),
            max: of_each(|ranked| ranked.last().copied()),
        })
    }
}

/// Of values in ascending order the middle one, or the mean of the two in the middle.
fn median(ranked: &[f64]) -> Option<f64> {
    let upper = *ranked.get(ranked.len() / 2)?;
    let lower = *ranked.get((ranked.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// In ascending order.
pub(super) fn ranked(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The smallest value that `share` of all (0 to 1) do not exceed: the nearest-rank percentile. `None` without values.
pub(super) fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let ranked = ranked(values.to_vec());
    let rank = (share * ranked.len() as f64).ceil() as usize;
    ranked.get(rank.saturating_sub(1)).copied()
}

/// `None` when there is nothing to divide by.
pub(super) fn ratio(of: f64, to: f64) -> Option<f64> {
    (to.is_finite() && to > 0.0 && of.is_finite()).then(|| of / to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(total_s: f64, rss: Option<f64>) -> Measured {
        Measured::default()
            .with(Figure::StagingS, 1.0 / total_s)
            .with(Figure::TotalS, total_s)
            .with_known(Figure::WorkerRssMib, rss)
    }

    #[test]
    fn each_figure_is_ranked_by_itself() {
        let runs = [
            measured(4.0, Some(1.0)),
            measured(1.0, Some(3.0)),
            measured(2.0, Some(2.0)),
        ];
        let spread = Spread::of(&runs).unwrap();
        let total = |measured: &Measured| measured.get(Figure::TotalS).unwrap();
        assert_eq!(
            (total(&spread.min), total(&spread.median), total(&spread.max)),
            (1.0, 2.0, 4.0)
        );
        assert_eq!(spread.min.get(Figure::StagingS), Some(0.25));
        assert_eq!(spread.median.get(Figure::WorkerRssMib), Some(2.0));
    }

    #[test]
    fn two_in_the_middle_count_both() {
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn nothing_measured_has_no_spread_and_what_is_unknown_once_stays_unknown() {
        assert_eq!(Spread::of(&[]), None);
        let runs = [measured(1.0, None), measured(2.0, Some(9.0))];
        assert_eq!(Spread::of(&runs).unwrap().max.get(Figure::WorkerRssMib), None);
    }

    #[test]
    fn names_are_unique_and_read_back() {
        let mut all = Measured::default();
        for (number, figure) in Figure::ALL.into_iter().enumerate() {
            all = all.with(figure, number as f64);
        }
        let written = serde_json::to_value(&all).unwrap();
        assert_eq!(written.as_object().unwrap().len(), Figure::ALL.len());
        assert_eq!(written["first_call_p99_ms"], 7.0);
        assert_eq!(Measured::read(&written), all);
        assert!(Figure::ALL.is_sorted());
    }

    #[test]
    fn what_is_no_figure_is_passed_over() {
        let read = Measured::read(&serde_json::json!({"jobs_per_s": 7, "worker_rss_mib": null, "mood": 3}));
        assert_eq!(read, Measured::default().with(Figure::JobsPerS, 7.0));
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), Some(100.0));
        assert_eq!(percentile(&values, 0.99), Some(198.0));
        assert_eq!(percentile(&values, 1.0), Some(200.0));
        assert_eq!(percentile(&[3.0], 0.0), Some(3.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        assert_eq!(ratio(3.0, 2.0), Some(1.5));
        assert_eq!(ratio(3.0, 0.0), None);
        assert_eq!(ratio(f64::NAN, 1.0), None);
    }

    #[test]
    fn values_have_the_digits_of_their_unit() {
        let one = measured(1.25, None);
        assert_eq!(one.text(Figure::TotalS), "1.250");
        assert_eq!(one.text(Figure::WorkerRssMib), "-");
        assert_eq!(Figure::JobsPerS.format(20_731.6), "20732");
    }
}
