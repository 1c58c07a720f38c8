//! The numbers of a benchmark, and how they are shown.

use serde::Serialize;
use serde_json::json;

use super::Plan;
use crate::exit::Failure;
use crate::output::{Column, table};
use crate::session::Session;

/// The numbers of one run; what they mean is said in the documentation of [`crate::bench`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) staging_s: f64,
    pub(super) total_s: f64,
    pub(super) jobs_per_s: f64,
    pub(super) server_cpu_us_per_job: f64,
    pub(super) commands_per_job: f64,
    pub(super) worker_rss_mib: Option<f64>,
    pub(super) server_peak_mib: f64,
}

/// Each number by itself: the smallest, the middle one and the largest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) min: Figures,
    pub(super) median: Figures,
    pub(super) max: Figures,
}

impl Spread {
    /// `None` without any figures.
    pub(super) fn of(figures: &[Figures]) -> Option<Self> {
        Some(Self {
            min: pick(figures, 0)?,
            median: pick(figures, figures.len().checked_sub(1)? / 2)?,
            max: pick(figures, figures.len() - 1)?,
        })
    }
}

/// Of every number the one at this place in ascending order.
fn pick(figures: &[Figures], place: usize) -> Option<Figures> {
    let nth = |number: fn(&Figures) -> f64| {
        let mut numbers: Vec<f64> = figures.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(place).copied()
    };
    let known = figures.iter().all(|figures| figures.worker_rss_mib.is_some());
    Some(Figures {
        staging_s: nth(|figures| figures.staging_s)?,
        total_s: nth(|figures| figures.total_s)?,
        jobs_per_s: nth(|figures| figures.jobs_per_s)?,
        server_cpu_us_per_job: nth(|figures| figures.server_cpu_us_per_job)?,
        commands_per_job: nth(|figures| figures.commands_per_job)?,
        worker_rss_mib: nth(|figures| figures.worker_rss_mib.unwrap_or_default()).filter(|_| known),
        server_peak_mib: nth(|figures| figures.server_peak_mib)?,
    })
}

type Row = (String, Figures);

const COLUMNS: &[Column<Row>] = &[
    Column::text("run", |(name, _)| name.clone()),
    Column::number("staging s", |(_, row)| format!("{:.3}", row.staging_s)),
    Column::number("total s", |(_, row)| format!("{:.3}", row.total_s)),
    Column::number("jobs/s", |(_, row)| format!("{:.0}", row.jobs_per_s)),
    Column::number("server cpu us/job", |(_, row)| {
        format!("{:.2}", row.server_cpu_us_per_job)
    }),
    Column::number("commands/job", |(_, row)| format!("{:.2}", row.commands_per_job)),
    Column::number("worker rss MiB", |(_, row)| {
        row.worker_rss_mib
            .map_or_else(|| "-".to_owned(), |mib| format!("{mib:.1}"))
    }),
    Column::number("server peak MiB", |(_, row)| format!("{:.1}", row.server_peak_mib)),
];

/// Shows the runs and their spread.
pub(super) fn show(plan: &Plan, server: &str, figures: &[Figures], session: &Session) -> Result<(), Failure> {
    let spread = Spread::of(figures);
    if session.output.json {
        let document = json!({ "plan": plan, "server": server, "runs": figures, "spread": spread });
        return session.output.json(&document);
    }
    let mut rows: Vec<Row> = (1..)
        .zip(figures)
        .map(|(number, row): (u32, _)| (number.to_string(), *row))
        .collect();
    if let Some(spread) = spread.filter(|_| figures.len() > 1) {
        rows.push(("min".to_owned(), spread.min));
        rows.push(("median".to_owned(), spread.median));
        rows.push(("max".to_owned(), spread.max));
    }
    let workers = if plan.workers == 1 { "worker" } else { "workers" };
    let place = if plan.separate {
        "as separate processes"
    } else {
        "in this process"
    };
    let head = format!(
        "{} tests, {}, {} {workers} {place}, {} tests in flight each, {server}{}\n",
        plan.tests,
        plan.mode,
        plan.workers,
        session.settings.worker.concurrency,
        if plan.append_only { " with append-only file" } else { "" },
    );
    session.output.text(&(head + &table(&rows, COLUMNS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(total_s: f64, worker_rss_mib: Option<f64>) -> Figures {
        Figures {
            staging_s: 1.0 / total_s,
            total_s,
            jobs_per_s: 0.0,
            server_cpu_us_per_job: 0.0,
            commands_per_job: 0.0,
            worker_rss_mib,
            server_peak_mib: 0.0,
        }
    }

    #[test]
    fn each_number_is_ranked_by_itself() {
        let runs = [
            figures(4.0, Some(1.0)),
            figures(1.0, Some(3.0)),
            figures(2.0, Some(2.0)),
        ];
        let spread = Spread::of(&runs).unwrap();
        assert_eq!(
            (spread.min.total_s, spread.median.total_s, spread.max.total_s),
            (1.0, 2.0, 4.0)
        );
        assert_eq!((spread.min.staging_s, spread.max.staging_s), (0.25, 1.0));
        assert_eq!(spread.median.worker_rss_mib, Some(2.0));
    }

    #[test]
    fn nothing_measured_has_no_spread_and_unknown_memory_stays_unknown() {
        assert_eq!(Spread::of(&[]), None);
        let runs = [figures(1.0, None), figures(2.0, Some(9.0))];
        assert_eq!(Spread::of(&runs).unwrap().max.worker_rss_mib, None);
    }
}
