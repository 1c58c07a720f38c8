//! The Lua transitions: embedded, assembled from their includes, and described by their headers.
//!
//! A transition is a file of `lua/`. Its header is a contract that `tests/header.rs` holds against the body: promises,
//! flags, keys touched, arguments and answers. `--@include NAME` lines bring in `lua/lib/NAME.lua`, each once.
//!
//! Every transition becomes a function library of the server ([`FUNCTION LOAD`](https://redis.io/docs/latest/commands/function-load/)).
//! What stands before the line `--@call` is made once, when the library is loaded; what stands after it is done in every call.
//! A file without that line is done in every call as a whole. So a variable that a call changes has to be set after `--@call`,
//! or it has the value that the call before left. Where functions cannot be loaded, the same text runs as a script.

use std::sync::LazyLock;

use deadpool_redis::redis;

/// The line that parts what is made once from what is done in every call.
const CALL: &str = "--@call";
/// What the names of our functions begin with.
pub(crate) const PREFIX: &str = "testfleet_";
/// Digits of a transition's hash in the name of its function: other texts have other names, so versions do not meet.
const DIGITS: usize = 10;

/// Whether a function is a transition of this version or of another one.
pub(crate) fn is_function_of_ours(name: &str) -> bool {
    let hash = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.rsplit_once('_'))
        .map(|(_, hash)| hash);
    hash.is_some_and(|hash| hash.len() == DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// One transition, ready to be sent.
#[derive(Debug)]
pub struct Script {
    name: &'static str,
    source: &'static str,
    code: String,
    library: String,
    function: String,
}

/// A transition's text, parted by when it runs.
#[derive(Default)]
struct Parts {
    once: String,
    call: String,
}

impl Parts {
    fn add(&mut self, text: &str, is_library: bool) {
        let mut in_call = !is_library && !text.lines().any(|line| line == CALL);
        for line in text.lines() {
            if line == CALL {
                in_call = true;
                continue;
            }
            let part = if in_call { &mut self.call } else { &mut self.once };
            part.push_str(line);
            part.push('\n');
        }
    }
}

impl Script {
    fn assemble(name: &'static str, source: &'static str) -> Self {
        let stated = source.lines().find_map(|line| line.strip_prefix("-- Flags: "));
        let flags = stated.filter(|flags| *flags != "none");
        let mut parts = Parts::default();
        let mut body = String::new();
        for line in source.lines() {
            match line.strip_prefix("--@include ") {
                Some(include) => parts.add(library(include.trim()), true),
                None => {
                    body.push_str(line);
                    body.push('\n');
                }
            }
        }
        parts.add(&body, false);
        let Parts { once, call } = parts;
        let text = format!("{once}local function transition()\n{call}end\n");
        let script_flags = flags.map_or_else(String::new, |flags| format!(" flags={flags}"));
        let code = format!("#!lua{script_flags}\n{text}return transition()\n");
        let hash = redis::Script::new(&code).get_hash().to_owned();
        let function = format!("{PREFIX}{name}_{}", hash.get(..DIGITS).unwrap_or(&hash));
        let function_flags = flags.map_or_else(String::new, |flags| format!(", flags={{'{flags}'}}"));
        let library = format!(
            "#!lua name={function}\nlocal KEYS, ARGV\n{text}redis.register_function{{function_name='{function}'{function_flags}, \
             callback=function(keys, arguments)\n  KEYS, ARGV = keys, arguments\n  return transition()\nend}}\n"
        );
        Self {
            name,
            source,
            code,
            library,
            function,
        }
    }

    /// The transition's name, that of its file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The file as written, header included.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// The text as a script: shebang, includes and body.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The text as a function library.
    #[must_use]
    pub fn library(&self) -> &str {
        &self.library
    }

    /// The name of the function, and of its library.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }
}

macro_rules! libraries {
    ($($name:literal),+ $(,)?) => {
        /// The names of the shared pieces.
        pub const LIBRARIES: &[&str] = &[$($name),+];

        fn library(name: &str) -> &'static str {
            match name {
                $($name => include_str!(concat!("lua/lib/", $name, ".lua")),)+
                // Reached only by a script of ours that names a piece which is not there; a test assembles them all.
                _ => "error('unknown include')",
            }
        }
    };
}

libraries!(
    "keys",
    "time",
    "bell",
    "admission",
    "placing",
    "shaping",
    "holding",
    "closing",
    "counting",
    "spending",
    "noting",
    "feedback",
    "opening",
    "lane",
    "keeping",
    "retaking",
    "claiming",
    "serving",
    "releasing",
    "releasing_control",
    "damage",
    "delaying",
    "repairing",
    "examining",
    "examining_run",
    "examining_tests",
    "examining_index"
);

macro_rules! scripts {
    ($($constant:ident = $name:literal),+ $(,)?) => {
        $(
            #[doc = concat!("`lua/", $name, ".lua`")]
            pub static $constant: LazyLock<Script> =
                LazyLock::new(|| Script::assemble($name, include_str!(concat!("lua/", $name, ".lua"))));
        )+

        /// Every transition.
        #[must_use]
        pub fn all() -> Vec<&'static Script> {
            vec![$(&$constant),+]
        }
    };
}

scripts! {
    CREATE = "create",
    STAGE = "stage",
    ARRANGE = "arrange",
    ACTIVATE = "activate",
    REGISTER = "register",
    HEARTBEAT = "heartbeat",
    DEREGISTER = "deregister",
    CLAIM = "claim",
    COMPLETE = "complete",
    RETRY = "retry",
    HAND_BACK = "hand_back",
    RECONCILE = "reconcile",
    EXTEND = "extend",
    VACATE = "vacate",
    CHECKPOINT = "checkpoint",
    TICK = "tick",
    REAP = "reap",
    SWEEP = "sweep",
    CANCEL = "cancel",
    PAUSE = "pause",
    RESUME = "resume",
    REOPEN = "reopen",
    RECOVER = "recover",
    FILL = "fill",
    COLLECT = "collect",
    SETTLE_NOTIFICATION = "settle_notification",
    SET_ENDPOINT = "set_endpoint",
    HOLD_ENDPOINT = "hold_endpoint",
    RELEASE_ENDPOINT = "release_endpoint",
    SET_FLEET = "set_fleet",
    SET_TENANT = "set_tenant",
    WHY = "why",
    LOOK_ENDPOINT = "look_endpoint",
    REVIVE = "revive",
    DROP_DEAD = "drop_dead",
    PUT_CONFIG = "put_config",
    REMOVE_CONFIG = "remove_config",
    PUT_BASELINE = "put_baseline",
    REMOVE_BASELINE = "remove_baseline",
    REPAIR = "repair",
    EXAMINE_RUN = "examine_run",
    EXAMINE_TESTS = "examine_tests",
    EXAMINE_INDEX = "examine_index",
    MEND_RUN = "mend_run",
    MEND_TESTS = "mend_tests",
    MEND_INDEX = "mend_index",
    MEND_COUNTS = "mend_counts",
    ENTER_MODEL = "enter_model",
    LEAVE_MODEL = "leave_model",
}
