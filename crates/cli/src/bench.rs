//! bench
use testfleet_model::{ExecutionMode, ExitCode};
use crate::exit::Failure;
use crate::session::Session;
/// p
#[derive(Clone, Copy, Debug)]
pub struct Plan { /// a
    pub tests: u32, /// a
    pub mode: ExecutionMode, /// a
    pub workers: u32, /// a
    pub separate: bool, /// a
    pub append_only: bool, /// a
    pub repeat: u32 }
/// r
/// # Errors
/// x
pub async fn run(_: Plan, _: &Session) -> Result<ExitCode, Failure> { Ok(ExitCode::Passed) }
/// r
/// # Errors
/// x
pub async fn work(_: &Session) -> Result<ExitCode, Failure> { Ok(ExitCode::Passed) }
