//! One run from a checked file to its report: submit, follow, report. Ctrl-C cancels it; a second one leaves at once.

use std::time::Duration;

use testfleet_bootstrap::shutdown::Shutdown;
use testfleet_dispatcher::Dispatched;
use testfleet_model::{ExitCode, RunId, Summary};

use crate::dispatching;
use crate::exit::Failure;
use crate::fleet::Fleet;
use crate::loading::Suite;
use crate::output;
use crate::progress::Progress;
use crate::reporting::{self, ReportFile};
use crate::session::Session;
use crate::waiting::{self, Waited};

/// How long the end of a cancelled run is waited for.
const CANCELLED_WITHIN: Duration = Duration::from_secs(30);

/// What to do besides running.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Reports to write.
    pub reports: Vec<ReportFile>,
    /// The longest to wait; `None`: as long as it takes.
    pub timeout: Option<Duration>,
    /// Whether the gates decide the exit code alone.
    pub gates_decide: bool,
    /// Whether progress stays untold.
    pub quiet: bool,
    /// Whether standard output gets no report.
    pub silent: bool,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the program ends with.
    pub code: ExitCode,
    /// The summary; `None` when the wait timed out and the run goes on elsewhere, and when there is none to have.
    pub summary: Option<Summary>,
}

/// Runs the suite on the fleet and reports.
///
/// # Errors
/// When it could not be submitted, followed or reported.
pub async fn run(
    session: &Session,
    fleet: &Fleet,
    suite: &Suite,
    plan: &Plan,
    shutdown: &Shutdown,
) -> Result<Outcome, Failure> {
    tokio::select! {
        outcome = conduct(session, fleet, suite, plan, shutdown) => outcome,
        () = shutdown.aborting() => Err(Failure::new(ExitCode::Cancelled, "left at once, as asked")),
    }
}

async fn conduct(
    session: &Session,
    fleet: &Fleet,
    suite: &Suite,
    plan: &Plan,
    shutdown: &Shutdown,
) -> Result<Outcome, Failure> {
    let Dispatched { run, total, .. } = submit(session, fleet, suite, shutdown).await?;
    let mut progress = Progress::new(plan.quiet, session.output.moving);
    if !plan.quiet {
        announce(suite, run, total);
    }
    if !fleet.has_workers() {
        hint_at_workers(fleet, session).await;
    }
    let (waited, interrupted) = tokio::select! {
        waited = waiting::until_ended_in_care(&fleet.store, &fleet.options, run, plan.timeout, &mut progress) => (waited, false),
        () = shutdown.draining() => (cancelled(fleet, run).await, true),
        () = fleet.deserted() => {
            return Err(Failure::internal("the worker of this process failed, and nobody else can work on the run; --log info shows why"));
        }
    };
    progress.finish();
    match waited? {
        Waited::Ended(summary) => {
            report(session, fleet, suite, plan, &summary).await?;
            settle_mail(fleet, run).await?;
            Ok(Outcome {
                code: if plan.gates_decide {
                    ExitCode::by_gates(&summary)
                } else {
                    ExitCode::of(&summary)
                },
                summary: Some(*summary),
            })
        }
        Waited::WithoutSummary(end) => {
            output::note(&end.sentence(run));
            Ok(Outcome {
                code: end.code(),
                summary: None,
            })
        }
        Waited::TimedOut if interrupted => Ok(unfinished_cancel(fleet, run)),
        Waited::TimedOut => out_of_time(session, fleet, suite, plan, run).await,
    }
}

async fn submit(session: &Session, fleet: &Fleet, suite: &Suite, shutdown: &Shutdown) -> Result<Dispatched, Failure> {
    let run = RunId::new(uuid::Uuid::now_v7());
    tokio::select! {
        submitted = dispatching::submit(&fleet.store, session, suite, run) => {
            let submitted = submitted?;
            if submitted.existing {
                output::note(&format!("the idempotency key has made run {} already; following that one", submitted.run));
            }
            Ok(submitted)
        }
        () = shutdown.draining() => {
            // Nobody was told of the run, and the sweeper would end it later; a cancel is only quicker.
            let _ = fleet.store.cancel(run).await;
            Err(Failure::new(ExitCode::Cancelled, "cancelled before the run had started"))
        }
    }
}

fn announce(suite: &Suite, run: RunId, total: u32) {
    let configuration = &suite.configuration;
    let tests = if total == 1 && suite.total == 1 {
        "test"
    } else {
        "tests"
    };
    let of = match suite.total.saturating_sub(total) {
        0 => String::new(),
        _ => format!(" of {}", suite.total),
    };
    let against = match configuration.attributes.reference_test_run_id {
        Some(reference) => format!("evaluating the outputs of run {reference}"),
        None => format!("against {}", configuration.endpoint.display_name()),
    };
    output::note(&format!(
        "run {run}: {total}{of} {tests}, {}, {against}",
        configuration.attributes.execution_mode,
    ));
}

/// Only a hint: the run is submitted, so whatever goes wrong here is left to the wait.
async fn hint_at_workers(fleet: &Fleet, session: &Session) {
    let Ok(workers) = fleet.store.worker_views().await else {
        return;
    };
    if workers.iter().all(|worker| worker.state == "lost") {
        let url = session.redis().map(|url| url.masked()).unwrap_or_default();
        output::note(&format!(
            "no worker is running; start one with: testfleet-worker --redis {url}"
        ));
    }
}

async fn cancelled(fleet: &Fleet, run: RunId) -> Result<Waited, Failure> {
    output::note("cancelling the run; press Ctrl-C again to leave at once");
    waiting::cancel(&fleet.store, &fleet.options, run).await?;
    waiting::until_ended(&fleet.store, run, Some(CANCELLED_WITHIN), &mut Progress::Quiet).await
}

/// Cancelled, but its results are not together within the time that a person waits for.
fn unfinished_cancel(fleet: &Fleet, run: RunId) -> Outcome {
    let rest = if fleet.is_private() {
        "its results could not be collected in time, so there is no report".to_owned()
    } else {
        format!("its results are still being collected. See them with `testfleet wait {run}`")
    };
    output::note(&format!("the run is cancelled; {rest}"));
    Outcome {
        code: ExitCode::Cancelled,
        summary: None,
    }
}

/// The time is up. A run on a private server ends with it, so its part is reported; a run of a fleet goes on.
async fn out_of_time(
    session: &Session,
    fleet: &Fleet,
    suite: &Suite,
    plan: &Plan,
    run: RunId,
) -> Result<Outcome, Failure> {
    let mut summary = None;
    if fleet.is_private() {
        output::note("the time is up; cancelling the run");
        waiting::cancel(&fleet.store, &fleet.options, run).await?;
        let waited = waiting::until_ended(&fleet.store, run, Some(CANCELLED_WITHIN), &mut Progress::Quiet).await?;
        if let Waited::Ended(ended) = waited {
            report(session, fleet, suite, plan, &ended).await?;
            settle_mail(fleet, run).await?;
            summary = Some(*ended);
        }
    } else {
        output::note(&format!(
            "the time is up; the run goes on. Wait for it with `testfleet wait {run}`, or end it with `testfleet run cancel {run}`"
        ));
    }
    Ok(Outcome {
        code: ExitCode::WaitTimedOut,
        summary,
    })
}

async fn report(
    session: &Session,
    fleet: &Fleet,
    suite: &Suite,
    plan: &Plan,
    summary: &Summary,
) -> Result<(), Failure> {
    let output = (!plan.silent).then_some(&session.output);
    reporting::publish(
        &fleet.store,
        summary,
        Some(suite),
        &plan.reports,
        output,
        fleet.is_private(),
    )
    .await?;
    if !plan.quiet {
        for file in &plan.reports {
            output::note(&format!("wrote {}", file.path.display()));
        }
    }
    Ok(())
}

/// A private server ends with the run, so its mail must be out before that.
async fn settle_mail(fleet: &Fleet, run: RunId) -> Result<(), Failure> {
    if !fleet.is_private() {
        return Ok(());
    }
    let until = tokio::time::Instant::now() + fleet.options.mail.timeout;
    while tokio::time::Instant::now() < until {
        let view = fleet.store.run_view(run).await?;
        let Some((mail, why)) = view.and_then(|view| Some((view.mail?, view.mail_error))) else {
            return Ok(());
        };
        match mail.as_str() {
            "queued" if why.is_none() => tokio::time::sleep(Duration::from_millis(20)).await,
            "queued" | "dead" => {
                output::note(&format!("the mail was not sent: {}", why.unwrap_or_default()));
                return Ok(());
            }
            _ => return Ok(()),
        }
    }
    output::note("the mail was not sent in time");
    Ok(())
}
