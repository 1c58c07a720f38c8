//! Figures of the long tests: what was measured beside what is wanted, as lines that people read.

use std::fmt::Display;

/// What one test has measured.
pub(crate) struct Figures {
    missed: Vec<String>,
}

impl Figures {
    /// Says what is measured.
    #[expect(clippy::print_stdout, reason = "figures are the purpose of the long tests")]
    pub(crate) fn of(subject: &str) -> Self {
        println!("limits: {subject}");
        Self { missed: Vec::new() }
    }

    /// A figure, what is wanted of it, and whether it is so.
    #[expect(clippy::print_stdout, reason = "figures are the purpose of the long tests")]
    pub(crate) fn wanted(&mut self, what: &str, figure: impl Display, wanted: &str, met: bool) {
        let verdict = if met { "yes" } else { "NO" };
        println!("  {what:<58} {figure:>12}   wanted: {wanted:<22} {verdict}");
        if !met {
            self.missed.push(format!("{what} is {figure}, wanted: {wanted}"));
        }
    }

    /// A figure that only informs.
    #[expect(clippy::print_stdout, reason = "figures are the purpose of the long tests")]
    pub(crate) fn said(&self, what: &str, figure: impl Display) {
        println!("  {what:<58} {figure:>12}");
    }

    /// Panics when something was not as wanted; last, so that all figures are there.
    pub(crate) fn judge(self) {
        assert!(self.missed.is_empty(), "{}", self.missed.join("\n"));
    }
}

/// With one digit after the point.
pub(crate) fn one_digit(figure: f64) -> String {
    format!("{figure:.1}")
}

/// As a share of 1, in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
