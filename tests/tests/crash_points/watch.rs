//! Which commands of a process are counted, and what they are called.

use std::collections::HashMap;
use std::sync::LazyLock;

use testfleet_store::script;
use testfleet_testkit::Command;

/// Transitions by the function they are called by.
static NAMES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let all = script::all();
    all.into_iter()
        .map(|script| (script.function().to_owned(), script.name()))
        .collect()
});

/// What every worker does at regular intervals: how many there are says nothing about a run.
const REGULAR: [&str; 4] = ["heartbeat", "reap", "sweep", "tick"];
/// What belongs to a connection, to the check at the start, or to the bell.
const AROUND: [&str; 12] = [
    "HELLO",
    "CLIENT",
    "AUTH",
    "SELECT",
    "PING",
    "INFO",
    "BLPOP",
    "LPUSH",
    "LTRIM",
    "FUNCTION",
    "testfleet_probe",
    "return 1",
];

/// The transition that a command runs, or the command: `claim`, `HGETALL`.
pub(crate) fn name_of(command: &Command) -> String {
    match command.name().as_str() {
        "FCALL" => NAMES
            .get(&command.argument(1))
            .map_or_else(|| command.argument(1), |name| (*name).to_owned()),
        "EVAL" => {
            let code = command.argument(1);
            let known = script::all().into_iter().find(|script| script.code() == code);
            known.map_or(code, |script| script.name().to_owned())
        }
        name => name.to_owned(),
    }
}

/// What a worker does for its runs.
pub(crate) fn is_work(command: &Command) -> bool {
    let name = name_of(command);
    !REGULAR.contains(&name.as_str()) && !AROUND.contains(&name.as_str())
}

/// What a worker does anyway.
pub(crate) fn is_regular(command: &Command) -> bool {
    REGULAR.contains(&name_of(command).as_str())
}

/// Everything up to the first work, the waiting for the bell aside.
pub(crate) fn is_start(command: &Command) -> bool {
    let name = name_of(command);
    name == "register" || (AROUND.contains(&name.as_str()) && !["BLPOP", "LPUSH", "LTRIM"].contains(&name.as_str()))
}

/// What a submission sends, its handshake aside.
pub(crate) fn is_submission(command: &Command) -> bool {
    !["HELLO", "CLIENT", "AUTH", "SELECT"].contains(&command.name().as_str())
}
