//! Settings for people: every key with its value in force and where that comes from, secrets masked.

use super::{Origin, Settings};

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `section.key`.
    pub key: &'static str,
    /// The value as TOML; credentials are `***`.
    pub literal: String,
    /// Where it was set.
    pub origin: Origin,
}

impl Settings {
    /// Every setting as it was loaded, section by section in the order of `config/default.toml`. Later changes of fields
    /// do not show.
    #[must_use]
    pub fn describe(&self) -> &[Shown] {
        &self.shown
    }

    /// The same as a settings file: it can be saved and loaded again when there is no secret in it. Values that are not
    /// the default's are followed by their origin.
    #[must_use]
    pub fn render_toml_masked(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for Shown { key, literal, origin } in &self.shown {
            let (its_section, name) = key.split_once('.').unwrap_or(("", key));
            if its_section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                text.push_str(&format!("{gap}[{its_section}]\n"));
                section = its_section;
            }
            let note = if *origin == Origin::Default {
                String::new()
            } else {
                format!("  # {origin}")
            };
            text.push_str(&format!("{name} = {literal}{note}\n"));
        }
        text
    }
}
