//! A scenario put to the checker, and what it said.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::action::Action;
use crate::fleet::Fleet;
use crate::progress::{self, Progress};
use crate::promise::END_IS_REACHED;
use crate::scenario::Scenario;

/// What was found in a scenario.
#[derive(Clone, Debug)]
pub struct Verdict {
    name: &'static str,
    /// How many states the checker visited.
    pub states: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// Each promise that does not hold, with the shortest way that was found to where it does not.
    pub broken: Vec<(&'static str, Vec<Action>)>,
    /// Whether the end was reached at all.
    pub ends: bool,
    /// Whether the end can be reached from everywhere; `None` if it was not asked.
    pub progress: Option<Progress>,
    took: Duration,
}

impl Scenario {
    /// Visits every state, and holds all promises and progress against it.
    #[must_use]
    pub fn check(self) -> Verdict {
        let begun = Instant::now();
        let progress = progress::explore(&Fleet { scenario: self });
        let mut verdict = self.judge(HasDiscoveries::All);
        verdict.progress = Some(progress);
        verdict.took = begun.elapsed();
        verdict
    }

    /// Looks for a state that breaks this promise, and stops at the first one.
    #[must_use]
    pub fn find(self, promise: &'static str) -> Verdict {
        self.judge(HasDiscoveries::AnyOf([promise].into()))
    }

    fn judge(self, until: HasDiscoveries) -> Verdict {
        let begun = Instant::now();
        let checker = Fleet { scenario: self }.checker().finish_when(until).spawn_bfs().join();
        let mut broken: Vec<_> = checker
            .discoveries()
            .into_iter()
            .map(|(name, path)| (name, path.into_actions()))
            .collect();
        broken.sort_by_key(|(name, _)| *name);
        let ends = broken.iter().any(|(name, _)| *name == END_IS_REACHED);
        broken.retain(|(name, _)| *name != END_IS_REACHED);
        Verdict {
            name: self.name,
            states: checker.unique_state_count(),
            depth: checker.max_depth(),
            broken,
            ends,
            progress: None,
            took: begun.elapsed(),
        }
    }
}

impl Verdict {
    /// Whether this promise was broken.
    #[must_use]
    pub fn breaks(&self, promise: &str) -> bool {
        self.broken.iter().any(|(name, _)| *name == promise)
    }

    /// How many states have no way to the end.
    #[must_use]
    pub fn stuck(&self) -> usize {
        let stuck = self.progress.as_ref().and_then(|progress| progress.stuck.as_ref());
        stuck.map_or(0, |stuck| stuck.count)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} states, depth {}", self.name, self.states, self.depth)?;
        if let Some(progress) = &self.progress {
            write!(formatter, ", {} steps, {} ends", progress.steps, progress.over)?;
        }
        write!(formatter, ", {:.1} s", self.took.as_secs_f64())?;
        for (name, way) in &self.broken {
            write!(formatter, "\n  {name} is broken by")?;
            list(formatter, way)?;
        }
        if let Some(stuck) = self.progress.as_ref().and_then(|progress| progress.stuck.as_ref()) {
            write!(
                formatter,
                "\n  {} states have no way to the end, such as the one after",
                stuck.count
            )?;
            list(formatter, &stuck.way)?;
            write!(formatter, "\n  which is {:#?}", stuck.state)?;
        }
        Ok(())
    }
}

fn list(formatter: &mut fmt::Formatter<'_>, way: &[Action]) -> fmt::Result {
    way.iter().try_for_each(|action| write!(formatter, "\n    {action:?}"))
}
