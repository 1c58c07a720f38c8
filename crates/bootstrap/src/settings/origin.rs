//! Where a value comes from, for messages and for `config settings`.

use std::fmt;
use std::path::PathBuf;

/// The source of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `config/default.toml`.
    Default,
    /// The default gave way to a value that was set.
    Derived {
        /// The key it had to fit.
        from: &'static str,
    },
    /// A settings file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1; `None` when the file as a whole is meant.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The content of a file that a variable names.
    SecretFile {
        /// The variable, which ends in `_FILE`.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// A flag of the command line.
    Flag {
        /// As people write it, `--redis`.
        flag: String,
    },
}

impl Origin {
    /// Whether nobody set the value.
    #[must_use]
    pub fn is_default(&self) -> bool {
        matches!(self, Self::Default | Self::Derived { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Derived { from } => write!(f, "default, made to fit {from}"),
            Self::File { path, line: Some(line) } => write!(f, "{}, line {line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment { variable } => write!(f, "environment, {variable}"),
            Self::SecretFile { variable, path } => write!(f, "{}, named by {variable}", path.display()),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}
