//! How far a run is, on standard error: a bar where somebody watches, else a line now and then.
//!
//! Lines are bounded: one whenever another tenth of the tests is done, but no two within two
//! seconds; and one every half minute while tests are slow. The numbers are those of the store's view of the run.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use testfleet_dispatcher::Progress as Seen;

use crate::output;

const SHORTEST_GAP: Duration = Duration::from_secs(2);
const LONGEST_GAP: Duration = Duration::from_secs(30);

/// Shows progress.
pub enum Progress {
    /// Nobody wants to see it.
    Quiet,
    /// A bar that is redrawn.
    Bar(ProgressBar),
    /// Lines.
    Lines(Lines),
}

impl Progress {
    /// A bar on a terminal, else lines; nothing when `quiet`.
    #[must_use]
    pub fn new(quiet: bool, moving: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !moving {
            return Self::Lines(Lines::default());
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} [{bar:30}] {pos}/{len}  {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self::Bar(bar)
    }

    /// Shows where the run is, `elapsed` after the waiting began.
    pub fn show(&mut self, seen: &Seen, elapsed: Duration) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => {
                bar.set_message(tally(seen));
                bar.set_length(u64::from(seen.total));
                bar.set_position(u64::from(seen.done));
            }
            Self::Lines(lines) => {
                if let Some(line) = lines.next(seen, elapsed) {
                    output::note(&line);
                }
            }
        }
    }

    /// Says something without breaking the bar.
    pub fn note(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| output::note(text)),
            Self::Quiet | Self::Lines(_) => output::note(text),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Decides when a line is due.
#[derive(Debug, Default)]
pub struct Lines {
    last: Option<(Duration, u32)>,
}

impl Lines {
    /// The line that is due now, if any.
    pub fn next(&mut self, seen: &Seen, elapsed: Duration) -> Option<String> {
        if seen.total == 0 {
            return None;
        }
        let tenth = tenths(seen);
        // The first line waits, too: a run of a second needs none.
        let (at, before) = self.last.unwrap_or_default();
        let gap = elapsed.saturating_sub(at);
        let due = (tenth > before && gap >= SHORTEST_GAP) || gap >= LONGEST_GAP;
        if !due || seen.done >= seen.total {
            return None;
        }
        self.last = Some((elapsed, tenth));
        let percent = u64::from(seen.done) * 100 / u64::from(seen.total);
        Some(format!(
            "{:>5}s  {}/{} ({percent} %)  {}",
            elapsed.as_secs(),
            seen.done,
            seen.total,
            tally(seen)
        ))
    }
}

fn tenths(seen: &Seen) -> u32 {
    let tenths = u64::from(seen.done) * 10 / u64::from(seen.total.max(1));
    u32::try_from(tenths).unwrap_or(10)
}

fn tally(seen: &Seen) -> String {
    let parts = [
        (seen.passed, "passed"),
        (seen.failed, "failed"),
        (seen.errors, "in error"),
        (seen.others, "other"),
        (seen.in_flight, "in flight"),
    ];
    let shown = parts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = shown.map(|(count, word)| format!("{count} {word}")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use testfleet_model::{RunId, RunState};

    use super::*;

    fn seen(done: u32, total: u32) -> Seen {
        Seen {
            test_run_id: RunId::new(uuid::Uuid::nil()),
            name: String::new(),
            state: RunState::Progress,
            total,
            done,
            in_flight: 2,
            passed: done,
            failed: 0,
            errors: 0,
            others: 0,
            stop_reason: None,
        }
    }

    #[test]
    fn a_line_comes_with_another_tenth_but_not_sooner_than_the_gap() {
        let mut lines = Lines::default();
        let at = Duration::from_secs;
        assert_eq!(lines.next(&seen(50, 100), at(1)), None);
        assert_eq!(
            lines.next(&seen(50, 100), at(3)).as_deref(),
            Some("    3s  50/100 (50 %)  50 passed, 2 in flight")
        );
        assert_eq!(lines.next(&seen(59, 100), at(20)), None);
        assert!(lines.next(&seen(60, 100), at(21)).is_some());
    }

    #[test]
    fn slow_tests_give_a_line_every_half_minute_and_the_end_gives_none() {
        let mut lines = Lines::default();
        assert!(lines.next(&seen(0, 100), LONGEST_GAP).is_some());
        assert_eq!(lines.next(&seen(0, 100), LONGEST_GAP * 2 - SHORTEST_GAP), None);
        assert_eq!(lines.next(&seen(100, 100), LONGEST_GAP * 9), None);
    }

    #[test]
    fn a_day_of_watching_gives_a_bounded_number_of_lines() {
        let mut lines = Lines::default();
        let shown = (0..24 * 3600_u32)
            .filter(|second| {
                lines
                    .next(&seen(second / 9, 10_000), Duration::from_secs(u64::from(*second)))
                    .is_some()
            })
            .count();
        assert!(shown <= 24 * 120 + 10, "{shown}");
    }
}
