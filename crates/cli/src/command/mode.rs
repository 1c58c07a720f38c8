//! `mode …`: how the tests of a stored configuration are released.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use testfleet_dispatcher::load_configuration;
use testfleet_dispatcher::modes::{
    SetModeError, get_execution_mode, get_mode_description, get_mode_recommendations, set_execution_mode,
};
use testfleet_model::mode::Recommendations;
use testfleet_model::{ExecutionMode, ExitCode};

use crate::dispatching;
use crate::exit::Failure;
use crate::session::Session;

/// `mode …`
#[derive(Clone, Debug, Subcommand)]
pub enum ModeCommand {
    /// The mode of a stored configuration
    #[command(after_help = "Example:\n  testfleet mode get nightly")]
    Get(GetArguments),
    /// Change the mode of a stored configuration; runs that exist keep theirs
    #[command(after_help = "Example:\n  testfleet mode set nightly sequential")]
    Set(SetArguments),
    /// What the modes do, and when to use which
    #[command(after_help = "Examples:\n  testfleet mode describe\n  testfleet mode describe sequential --json")]
    Describe(DescribeArguments),
}

/// `mode get`
#[derive(Args, Clone, Debug)]
pub struct GetArguments {
    /// The id of the configuration
    #[arg(value_name = "CONFIG_ID")]
    id: String,
}

/// `mode set`
#[derive(Args, Clone, Debug)]
pub struct SetArguments {
    /// The id of the configuration
    #[arg(value_name = "CONFIG_ID")]
    id: String,
    /// Parallel or Sequential, in any case
    #[arg(value_name = "MODE")]
    mode: ExecutionMode,
}

/// `mode describe`
#[derive(Args, Clone, Debug)]
pub struct DescribeArguments {
    /// Parallel or Sequential; both when left out
    #[arg(value_name = "MODE")]
    mode: Option<ExecutionMode>,
}

/// Does what the verb says.
///
/// # Errors
/// What kept it from doing so.
pub async fn execute(command: ModeCommand, session: &Session) -> Result<ExitCode, Failure> {
    match command {
        ModeCommand::Get(arguments) => get(&arguments.id, session).await,
        ModeCommand::Set(arguments) => set(&arguments.id, arguments.mode, session).await,
        ModeCommand::Describe(arguments) => describe(arguments.mode, session),
    }
}

async fn get(id: &str, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    let (configuration, version) = load_configuration(&store, id)
        .await
        .map_err(|error| dispatching::refused(&error))?;
    show(id, get_execution_mode(&configuration), version, session)
}

async fn set(id: &str, mode: ExecutionMode, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet().await?;
    let version = set_execution_mode(&store, id, mode)
        .await
        .map_err(|error| match error {
            SetModeError::Configuration(error) => dispatching::refused(&error),
            error => Failure::usage(error.to_string()),
        })?;
    show(id, mode, version, session)
}

fn show(id: &str, mode: ExecutionMode, version: u64, session: &Session) -> Result<ExitCode, Failure> {
    if session.output.json {
        session
            .output
            .json(&json!({ "id": id, "execution_mode": mode, "version": version }))?;
    } else {
        session.output.text(mode.name())?;
    }
    Ok(ExitCode::Passed)
}

#[derive(Serialize)]
struct Described {
    execution_mode: ExecutionMode,
    description: &'static str,
    #[serde(flatten)]
    recommendations: Recommendations,
}

fn describe(mode: Option<ExecutionMode>, session: &Session) -> Result<ExitCode, Failure> {
    let modes = mode.map_or_else(|| ExecutionMode::ALL.to_vec(), |mode| vec![mode]);
    let described: Vec<Described> = modes
        .into_iter()
        .map(|mode| Described {
            execution_mode: mode,
            description: get_mode_description(mode),
            recommendations: get_mode_recommendations(mode),
        })
        .collect();
    if session.output.json {
        session.output.json(&described)?;
    } else {
        let texts: Vec<String> = described.iter().map(text).collect();
        session.output.text(&texts.join("\n"))?;
    }
    Ok(ExitCode::Passed)
}

fn text(mode: &Described) -> String {
    let mut text = format!("{}\n  {}\n", mode.execution_mode, mode.description);
    let lists = [
        ("use it when", mode.recommendations.use_when),
        ("for it", mode.recommendations.pros),
        ("against it", mode.recommendations.cons),
    ];
    for (title, sentences) in lists {
        text.push_str(&format!("\n  {title}\n"));
        for sentence in sentences {
            text.push_str(&format!("    - {sentence}\n"));
        }
    }
    text
}
