//! `endpoint list|show|set|hold|release`: what is called, how much at once, and what operators say about it.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use testfleet_model::ExitCode;
use testfleet_model::configuration::{Adaptive, Breaker, Rate};
use testfleet_report::visible::one_line;
use testfleet_store::view::{EndpointDetail, EndpointView};
use testfleet_store::{EndpointSettings, HoldUntil, Setting, Store};

use crate::command::limit;
use crate::command::suggestion::nearest;
use crate::exit::Failure;
use crate::output::{self, Column, table};
use crate::session::Session;

mod standing;
mod text;

pub(crate) use standing::room;

/// The longest name in a sentence.
const MAX_NAME: usize = 200;

/// `endpoint …`
#[derive(Clone, Debug, Subcommand)]
pub enum EndpointCommand {
    /// Every endpoint that a run has used, with its limits, what keeps it from taking more, and who waits for it
    #[command(after_help = "Examples:\n  testfleet endpoint list\n  testfleet endpoint list --json")]
    List,
    /// One endpoint: limits and where they come from, what is left of them, who waits, and what has changed
    #[command(
        after_help = "Examples:\n  testfleet endpoint show brightwater-chat\n  testfleet endpoint show brightwater-chat --json"
    )]
    Show(Reference),
    /// Set limits that hold over those that runs bring, at once and until they are cleared
    #[command(
        after_help = "A limit that is `none` does not hold, whatever runs bring; one that is `clear` is as runs bring it again.

Examples:
  testfleet endpoint set brightwater-chat --max-concurrency 8 --rate 50/s
  testfleet endpoint set brightwater-chat --tokens 90000/m --adaptive 2:8 --breaker 10:10s
  testfleet endpoint set brightwater-chat --rate none --adaptive off
  testfleet endpoint set brightwater-chat --max-concurrency clear --rate clear"
    )]
    Set(SetArguments),
    /// Let no test of an endpoint begin, for a time or until it is released; what is in flight ends as usual
    #[command(
        after_help = "Examples:\n  testfleet endpoint hold brightwater-chat --for 10m --reason deployment-4.2\n  testfleet endpoint hold brightwater-chat"
    )]
    Hold(HoldArguments),
    /// End whatever holds an endpoint: `endpoint hold`, a Retry-After, an open breaker
    #[command(after_help = "Example:\n  testfleet endpoint release brightwater-chat")]
    Release(Reference),
}

/// One endpoint.
#[derive(Args, Clone, Debug)]
pub struct Reference {
    /// Its name, as `endpoint list` shows it
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
}

/// `endpoint set`
#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("limits").args(["max_concurrency", "rate", "tokens", "adaptive", "breaker"]).required(true).multiple(true))]
pub struct SetArguments {
    /// Its name; it may be that of an endpoint that no run has used yet
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// Calls in flight at any instant: a number, none or clear
    #[arg(long, value_name = "N", value_parser = limit::count)]
    max_concurrency: Option<Setting<u32>>,
    /// Calls begun in a time: such as 50/s or 300/m, none or clear
    #[arg(long, value_name = "RATE", value_parser = limit::rate)]
    rate: Option<Setting<Rate>>,
    /// Tokens used in a time: such as 90000/m, none or clear
    #[arg(long, value_name = "RATE", value_parser = limit::rate)]
    tokens: Option<Setting<Rate>>,
    /// Whether the calls in flight follow what it can take: on, off, MIN:START such as 2:8, or clear
    #[arg(long, value_name = "HOW", value_parser = limit::adaptive)]
    adaptive: Option<Setting<Adaptive>>,
    /// When it is taken for down, and how long it is left alone then: such as 10:10s, none or clear
    #[arg(long, value_name = "FAILURES:COOL_DOWN", value_parser = limit::breaker)]
    breaker: Option<Setting<Breaker>>,
}

/// `endpoint hold`
#[derive(Args, Clone, Debug)]
pub struct HoldArguments {
    /// Its name; it may be that of an endpoint that no run has used yet
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// For how long, such as 10m [default: until `endpoint release`]
    #[arg(long = "for", value_name = "DURATION", value_parser = hold_time)]
    time: Option<Duration>,
    /// Why; shown to everybody who asks why a test waits
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

/// At least a millisecond: a hold of no time would be taken for one that was.
fn hold_time(text: &str) -> Result<Duration, String> {
    let time = testfleet_model::duration::parse(text)?;
    if time < Duration::from_millis(1) || time > Duration::from_secs(366 * 24 * 3600) {
        return Err("expected 1ms to 1year; leave --for out to hold until `endpoint release`".to_owned());
    }
    Ok(time)
}

/// Looks at endpoints, and changes what holds for them.
///
/// # Errors
/// When there is no such endpoint, or the store does not answer.
pub async fn execute(command: EndpointCommand, session: &Session) -> Result<ExitCode, Failure> {
    match command {
        EndpointCommand::List => list(session).await?,
        EndpointCommand::Show(reference) => show(&reference.name, session).await?,
        EndpointCommand::Set(arguments) => set(arguments, session).await?,
        EndpointCommand::Hold(arguments) => hold(&arguments, session).await?,
        EndpointCommand::Release(reference) => release(&reference.name, session).await?,
    }
    Ok(ExitCode::Passed)
}

/// A row and the time it is shown at.
type At = (EndpointView, i64);

const COLUMNS: &[Column<At>] = &[
    Column::text("endpoint", |(row, _)| row.endpoint.clone()),
    Column::number("in flight", |(row, _)| standing::in_flight(row)),
    Column::number("at most", |(row, _)| standing::at_most(row)),
    Column::number("rate", |(row, _)| {
        row.rate.value.as_ref().map_or_else(|| "-".to_owned(), limit::rate_text)
    }),
    Column::number("runs waiting", |(row, _)| row.waiting_runs.to_string()),
    Column::text("state", |(row, now)| standing::sentence(row, *now)),
];

async fn list(session: &Session) -> Result<(), Failure> {
    let store = session.fleet_view().await?;
    let mut endpoints = store.endpoint_views().await?;
    endpoints.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
    if session.output.json {
        return session.output.json(&endpoints);
    }
    let now = store.now_ms().await?;
    let rows: Vec<At> = endpoints.into_iter().map(|endpoint| (endpoint, now)).collect();
    session.output.text(&table(&rows, COLUMNS))
}

/// The failure for an endpoint that nobody has used or set.
async fn unknown(store: &Store, name: &str) -> Result<Failure, Failure> {
    let names = store.endpoint_names().await?;
    let meant = nearest(name, names.iter().map(String::as_str));
    let hint = meant.map_or_else(
        || "`testfleet endpoint list` shows those there are".to_owned(),
        |near| format!("did you mean {near:?}?"),
    );
    Ok(Failure::usage(format!("no run has used an endpoint {name:?}; {hint}")))
}

async fn known(store: &Store, name: &str) -> Result<EndpointDetail, Failure> {
    match store.endpoint_detail(name).await? {
        Some(detail) => Ok(detail),
        None => Err(unknown(store, name).await?),
    }
}

async fn show(name: &str, session: &Session) -> Result<(), Failure> {
    let store = session.fleet_view().await?;
    let detail = known(&store, name).await?;
    if session.output.json {
        return session.output.json(&detail);
    }
    let now = store.now_ms().await?;
    session.output.text(&text::everything(&detail, now))
}

/// Says that a name is new, which may be meant or a slip.
async fn note_when_new(store: &Store, name: &str) -> Result<(), Failure> {
    let names = store.endpoint_names().await?;
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    let meant = nearest(name, names.iter().map(String::as_str));
    let slip = meant.map_or_else(String::new, |near| format!(" (there is {near:?})"));
    output::note(&format!(
        "no run has used the endpoint {name:?} yet{slip}; this holds from its first run on, and stays until it is cleared or released"
    ));
    Ok(())
}

async fn set(arguments: SetArguments, session: &Session) -> Result<(), Failure> {
    let store = session.fleet_view().await?;
    note_when_new(&store, &arguments.name).await?;
    let settings = EndpointSettings {
        max_concurrency: arguments.max_concurrency.unwrap_or_default(),
        rate: arguments.rate.unwrap_or_default(),
        tokens: arguments.tokens.unwrap_or_default(),
        adaptive: arguments.adaptive.unwrap_or_default(),
        breaker: arguments.breaker.unwrap_or_default(),
    };
    store.set_endpoint(&arguments.name, &settings).await?;
    let detail = known(&store, &arguments.name).await?;
    if session.output.json {
        return session.output.json(&detail);
    }
    let now = store.now_ms().await?;
    session.output.text(&text::limits(&detail.endpoint, now))
}

async fn hold(arguments: &HoldArguments, session: &Session) -> Result<(), Failure> {
    let store = session.fleet_view().await?;
    note_when_new(&store, &arguments.name).await?;
    let until = arguments.time.map_or(HoldUntil::Released, HoldUntil::After);
    store.hold_endpoint(&arguments.name, until, &arguments.reason).await?;
    let detail = known(&store, &arguments.name).await?;
    if session.output.json {
        return session.output.json(&detail);
    }
    let time = arguments.time.map_or_else(
        || "until `testfleet endpoint release`".to_owned(),
        |time| format!("for {}", testfleet_model::duration::format(time)),
    );
    session.output.text(&format!(
        "{} is held {time}; what is in flight ends as usual ({}); {} waiting\n",
        one_line(&arguments.name, MAX_NAME),
        text::counted(u64::from(detail.endpoint.in_flight), "call"),
        text::counted(detail.endpoint.waiting_runs, "run"),
    ))
}

#[derive(Serialize)]
struct Freed {
    released: bool,
    #[serde(flatten)]
    detail: EndpointDetail,
}

async fn release(name: &str, session: &Session) -> Result<(), Failure> {
    let store = session.fleet_view().await?;
    known(&store, name).await?;
    let released = store.release_endpoint(name).await?;
    let detail = known(&store, name).await?;
    if session.output.json {
        return session.output.json(&Freed { released, detail });
    }
    let now = store.now_ms().await?;
    let shown = one_line(name, MAX_NAME);
    let state = standing::sentence(&detail.endpoint, now);
    session.output.text(&if released {
        format!("{shown} is not held any more; now: {state}\n")
    } else {
        format!("nothing held {shown}; now: {state}\n")
    })
}
