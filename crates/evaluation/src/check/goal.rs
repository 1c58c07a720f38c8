//! `goal-reached`: whether the user that a model played got what it wanted.

use crate::excerpt::sentence;
use crate::finding::{Finding, Outcome};
use crate::subject::Call;

/// Bytes of the user's own words that a reason shows.
const SHOWN: usize = 300;

/// What the simulated user said at its end.
#[derive(Debug)]
pub(crate) struct GoalReached;

impl GoalReached {
    pub(super) fn run(&self, call: &Call<'_>) -> Outcome {
        let goal = call
            .goal
            .ok_or("it is not known whether a goal was reached; the test has no simulated user")?;
        let not = if goal.is_reached { "" } else { "not " };
        let because = match goal.reason.trim() {
            "" => String::new(),
            reason => format!(": {}", sentence(reason, SHOWN)),
        };
        Ok(Finding::holds(
            goal.is_reached,
            format!("the goal of the simulated user was {not}reached{because}"),
        ))
    }
}
