//! `run show`: where a run is, and its summary once it has ended.

use std::fmt::Write as _;

use serde::Serialize;
use testfleet_model::{ExitCode, RunId, Summary};
use testfleet_report::visible::one_line;
use testfleet_store::view::RunView;

use crate::command::time::moment;
use crate::exit::Failure;
use crate::session::Session;
use crate::waiting;

/// The longest text on a line.
const MAX_TEXT: usize = 300;

#[derive(Serialize)]
struct Shown {
    run: RunView,
    summary: Option<Summary>,
}

/// Shows a run.
///
/// # Errors
/// When there is no such run, or the store does not answer.
pub async fn execute(run: RunId, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    let view = store.run_view(run).await?.ok_or_else(|| waiting::unknown(run))?;
    let summary = store.summary(run).await?.as_deref().map(waiting::parse).transpose()?;
    let shown = Shown { run: view, summary };
    if session.output.json {
        session.output.json(&shown)?;
    } else {
        session.output.text(&text(&shown))?;
    }
    Ok(ExitCode::Passed)
}

fn verdict_line(text: &mut String, label: &str, value: &str) {
    let _ = writeln!(text, "{label:<14}{value}");
}

fn text(shown: &Shown) -> String {
    let run = &shown.run;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{label:<14}{}", one_line(value, MAX_TEXT));
        }
    };
    line("run", &run.test_run_id.to_string());
    line("name", &run.name);
    let (word, stored) = (run.state.shown(), run.state.to_string());
    if word.eq_ignore_ascii_case(&stored) {
        line("state", word);
    } else {
        line("state", &format!("{word} ({stored})"));
    }
    if let Some(since) = run.paused_at_ms {
        line("paused", &format!("since {}", moment(Some(since))));
    }
    if run.epoch > 1 {
        line("epoch", &format!("{}: tests of it were tried again", run.epoch));
    }
    line("mode", &run.execution_mode);
    line("endpoint", &run.endpoint);
    line("tenant", if run.tenant == "default" { "" } else { &run.tenant });
    line("priority", if run.priority == "normal" { "" } else { &run.priority });
    line(
        "configuration",
        run.test_configuration_id.as_deref().unwrap_or_default(),
    );
    line(
        "tests",
        &format!("{} of {} done, {} in flight", run.done, run.total, run.in_flight),
    );
    let counts: Vec<String> = run
        .counts
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    line("results", &counts.join(", "));
    line("stopped by", run.stop_reason.as_deref().unwrap_or_default());
    line("created", &moment(run.created_at_ms));
    line("started", &moment(run.started_at_ms));
    line("ended", &moment(run.ended_at_ms));
    if run.discarded_results > 0 {
        line("discarded", &format!("{} late results", run.discarded_results));
    }
    line("mail", run.mail.as_deref().unwrap_or_default());
    line("mail error", run.mail_error.as_deref().unwrap_or_default());
    if let Some(summary) = &shown.summary {
        line(
            "summary",
            &format!("{}: {}", summary.final_status, summary.status_details),
        );
        line("duration", &summary.execution_time);
        line("recovered", &testfleet_report::recovered(summary).unwrap_or_default());
        for (label, value) in testfleet_report::verdict::lines(summary) {
            verdict_line(&mut text, label, &value);
        }
    }
    text
}
