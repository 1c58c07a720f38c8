//! Where settings are looked for.

use std::path::PathBuf;

/// What every variable of testfleet starts with.
pub const ENVIRONMENT_PREFIX: &str = "TESTFLEET_";
/// Variables with this prefix hold secrets that test configurations refer to; they are no settings.
pub const SECRET_VARIABLE_PREFIX: &str = "TESTFLEET_SECRET_";
/// Variables that are no settings, and what they are.
pub const RESERVED_VARIABLES: [(&str, &str); 2] = [
    (CONFIG_VARIABLE, "names the settings file, as --config does"),
    (
        "TESTFLEET_SHARED_DATA",
        "names a directory with data that test sets share",
    ),
];
pub(super) const CONFIG_VARIABLE: &str = "TESTFLEET_CONFIG";

/// The sources of one load. The default has none but the compiled-in one.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    pub(super) text: Option<(PathBuf, String)>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) flags: Vec<(String, String, String)>,
    reserved: Vec<String>,
}

impl Sources {
    /// The environment of this process, as a `main` uses it.
    #[must_use]
    pub fn from_process() -> Self {
        // A name or value that is no Unicode is read with replacement characters and so fails its check.
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        Self::default().environment(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Reads `path` instead of the file that `TESTFLEET_CONFIG` names.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Takes `text` for the content of the settings file `path`, which is then not read.
    #[must_use]
    pub fn file_text(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.text = Some((path.into(), text.into()));
        self
    }

    /// Adds variables; those of other programs are ignored.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(
            variables
                .into_iter()
                .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)),
        );
        self
    }

    /// Adds a value from the command line: the flag as people write it (`--redis`), the key (`redis.url`), the value. For a
    /// list, the values of all calls count; for everything else, the last one.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.flags.push((flag.into(), key.into(), value.into()));
        self
    }

    /// Names a variable that the calling program reads itself, so that it is no unknown setting.
    #[must_use]
    pub fn reserve_variable(mut self, name: impl Into<String>) -> Self {
        self.reserved.push(name.into());
        self
    }

    /// The settings file in force; `None` when neither flag nor environment names one.
    pub(super) fn settings_file(&self) -> Option<PathBuf> {
        let is_name = |(name, value): &&(String, String)| name == CONFIG_VARIABLE && !value.is_empty();
        let named = || self.environment.iter().find(is_name).map(|(_, path)| path.into());
        self.file.clone().or_else(named)
    }

    /// Whether a variable has a meaning of its own and is no setting.
    pub(super) fn is_reserved(&self, variable: &str) -> bool {
        variable.starts_with(SECRET_VARIABLE_PREFIX)
            || RESERVED_VARIABLES.iter().any(|(name, _)| *name == variable)
            || self.reserved.iter().any(|name| name == variable)
    }
}
