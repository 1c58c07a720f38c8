//! The loops of a worker, by name.

use std::fmt::{self, Display};

/// A loop that must go on for a worker to be alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Claims jobs and stores what came of them.
    Pump,
    /// Renews what the worker holds.
    Heartbeat,
    /// Takes back what lost workers held.
    Reaper,
    /// Ends what is overdue.
    Sweeper,
    /// Listens to the bell.
    Lookout,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pump, Self::Heartbeat, Self::Reaper, Self::Sweeper, Self::Lookout];

    /// As it is called in the log, in probes and in the documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pump => "pump",
            Self::Heartbeat => "heartbeat",
            Self::Reaper => "reaper",
            Self::Sweeper => "sweeper",
            Self::Lookout => "lookout",
        }
    }
}

impl Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
