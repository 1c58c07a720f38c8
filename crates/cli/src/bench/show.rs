//! How measurements are shown: one by all its figures, several by the most important ones of each.

use serde::Serialize;
use serde_json::json;

use super::figure::{Figure, Measured, Spread};
use super::plan::Plan;
use crate::exit::Failure;
use crate::output::{Column, table};
use crate::session::Session;

/// A plan, and what its measurements gave.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Case {
    pub(super) plan: Plan,
    pub(super) runs: Vec<Measured>,
    /// `None` when nothing was measured.
    pub(super) spread: Option<Spread>,
}

impl Case {
    pub(super) fn new(plan: Plan, runs: Vec<Measured>) -> Self {
        let spread = Spread::of(&runs);
        Self { plan, runs, spread }
    }
}

/// Figures that an overview has a column for; whatever else there is stands in the last one.
const IN_COLUMNS: [Figure; 9] = [
    Figure::StagingS,
    Figure::TotalS,
    Figure::JobsPerS,
    Figure::ServerCpuUsPerJob,
    Figure::CallsPerJob,
    Figure::CommandsPerJob,
    Figure::ProcessCpuUsPerJob,
    Figure::WorkerRssMib,
    Figure::ServerPeakMib,
];

/// Of a case the medians.
struct Row {
    plan: Plan,
    median: Measured,
}

const OVERVIEW: &[Column<Row>] = &[
    Column::text("workload", |row| row.plan.workload.name()),
    Column::text("case", |row| row.plan.case.clone().unwrap_or_else(|| "-".to_owned())),
    Column::number("tests", |row| format!("{:.0}", row.plan.jobs())),
    Column::number("total s", |row| row.median.text(Figure::TotalS)),
    Column::number("jobs/s", |row| row.median.text(Figure::JobsPerS)),
    Column::number("server us", |row| row.median.text(Figure::ServerCpuUsPerJob)),
    Column::number("ours us", |row| row.median.text(Figure::ProcessCpuUsPerJob)),
    Column::number("calls", |row| row.median.text(Figure::CallsPerJob)),
    Column::number("commands", |row| row.median.text(Figure::CommandsPerJob)),
    Column::number("worker MiB", |row| row.median.text(Figure::WorkerRssMib)),
    Column::number("server MiB", |row| row.median.text(Figure::ServerPeakMib)),
    Column::text("also", |row| also(&row.median)),
];

/// The figures that have no column: `x ideal 1.050`
fn also(median: &Measured) -> String {
    let more: Vec<String> = Figure::ALL
        .into_iter()
        .filter(|figure| !IN_COLUMNS.contains(figure))
        .filter_map(|figure| Some(format!("{} {}", figure.short(), figure.format(median.get(figure)?))))
        .collect();
    more.join(", ")
}

/// A figure, and where it is in one case.
type Line = (Figure, Spread);

const ONCE: &[Column<Line>] = &[
    Column::text("figure", |(figure, _)| figure.title().to_owned()),
    Column::number("measured", |(figure, spread)| spread.median.text(*figure)),
];

const SEVERAL: &[Column<Line>] = &[
    Column::text("figure", |(figure, _)| figure.title().to_owned()),
    Column::number("min", |(figure, spread)| spread.min.text(*figure)),
    Column::number("median", |(figure, spread)| spread.median.text(*figure)),
    Column::number("max", |(figure, spread)| spread.max.text(*figure)),
];

/// Shows the cases.
pub(super) fn cases(cases: &[Case], server: &str, session: &Session) -> Result<(), Failure> {
    if session.output.json {
        return session.output.json(&json!({ "server": server, "cases": cases }));
    }
    session.output.text(&match cases {
        [case] => detail(case, server),
        _ => overview(cases, server),
    })
}

fn detail(case: &Case, server: &str) -> String {
    let head = format!("{}: {}, {server}\n", case.plan.title(), case.plan);
    let Some(spread) = &case.spread else { return head };
    let lines: Vec<Line> = Figure::ALL
        .into_iter()
        .filter(|figure| spread.median.get(*figure).is_some())
        .map(|figure| (figure, spread.clone()))
        .collect();
    let columns = if case.runs.len() > 1 { SEVERAL } else { ONCE };
    head + &table(&lines, columns)
}

fn overview(cases: &[Case], server: &str) -> String {
    let rows: Vec<Row> = cases
        .iter()
        .filter_map(|case| {
            Some(Row {
                plan: case.plan.clone(),
                median: case.spread.as_ref()?.median.clone(),
            })
        })
        .collect();
    let times = cases.iter().map(|case| case.runs.len()).max().unwrap_or(0);
    let how_often = match times {
        0 | 1 => "each measured once".to_owned(),
        times => format!("medians of {times}"),
    };
    let head = format!("{server}, {how_often}; per job: processor time in us, calls, commands. MiB are peaks\n");
    head + &table(&rows, OVERVIEW)
}

#[cfg(test)]
mod tests {
    use super::super::flag::Given;
    use super::super::workload::Workload;
    use super::*;

    fn case(workload: Workload, jobs_per_s: &[f64]) -> Case {
        let given = Given {
            tests: Some(100),
            ..Given::default()
        };
        let plan = workload.plans(&given, 256).remove(0);
        let runs = jobs_per_s
            .iter()
            .map(|rate| {
                Measured::default()
                    .with(Figure::JobsPerS, *rate)
                    .with(Figure::OverIdeal, 1.25)
            })
            .collect();
        Case::new(plan, runs)
    }

    #[test]
    fn one_case_is_shown_by_all_its_figures() {
        let text = detail(&case(Workload::FanOut, &[3.0, 1.0, 2.0]), "Redis 7");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "fan-out: 100 tests, Parallel, 1 worker in this process, 256 tests in flight each, Redis 7"
        );
        assert!(lines[1].ends_with("MIN  MEDIAN    MAX"), "{text}");
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(words, ["jobs/s", "1", "2", "3"]);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_single_measurement_has_no_spread() {
        let text = detail(&case(Workload::FanOut, &[3.0]), "Redis 7");
        assert!(text.contains("MEASURED") && !text.contains("MEDIAN"), "{text}");
    }

    #[test]
    fn several_cases_have_a_line_each_and_lose_no_figure() {
        let both = [case(Workload::Http, &[3.0]), case(Workload::Chain, &[9.0])];
        let text = overview(&both, "Redis 7");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[2].starts_with("http") && lines[2].ends_with("x ideal 1.250"),
            "{text}"
        );
    }
}
