//! The Lua transitions: embedded, assembled from their includes, and described by their headers.
//!
//! A script is a file of `lua/`. Its header is a contract that `tests/header.rs` holds against the body: promises,
//! flags, keys touched, arguments and answers. `--@include NAME` lines bring in `lua/lib/NAME.lua`, each once.

use std::sync::LazyLock;

use deadpool_redis::redis;

/// One transition, ready to be sent.
#[derive(Debug)]
pub struct Script {
    name: &'static str,
    source: &'static str,
    code: String,
    hash: String,
}

impl Script {
    fn assemble(name: &'static str, source: &'static str) -> Self {
        let flags = source.lines().find_map(|line| line.strip_prefix("-- Flags: "));
        let mut code = match flags {
            Some(flags) if flags != "none" => format!("#!lua flags={flags}\n"),
            _ => String::from("#!lua\n"),
        };
        for line in source.lines() {
            match line.strip_prefix("--@include ") {
                Some(include) => code.push_str(library(include.trim())),
                None => code.push_str(line),
            }
            code.push('\n');
        }
        let hash = redis::Script::new(&code).get_hash().to_owned();
        Self {
            name,
            source,
            code,
            hash,
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

    /// What the server runs: shebang, includes and body.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The SHA-1 by which the server knows it.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
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
    "claiming",
    "serving",
    "releasing",
    "releasing_control",
    "damage",
    "damaged",
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
    TICK = "tick",
    REAP = "reap",
    SWEEP = "sweep",
    CANCEL = "cancel",
    PAUSE = "pause",
    RESUME = "resume",
    REOPEN = "reopen",
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
    REPAIR = "repair",
    EXAMINE_RUN = "examine_run",
    EXAMINE_TESTS = "examine_tests",
    EXAMINE_INDEX = "examine_index",
    MEND_RUN = "mend_run",
    MEND_TESTS = "mend_tests",
    MEND_INDEX = "mend_index",
    MEND_COUNTS = "mend_counts",
}
