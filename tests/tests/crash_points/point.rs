//! A crash point: which command of which life, at which of its three moments, and what happens there.

use std::fmt;
use std::str::FromStr;

use testfleet_testkit::Point;

/// The lives that are struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scenario {
    /// A worker, from its registration to the sent mail of a Parallel run with one retried test.
    Parallel,
    /// The same with a Sequential run.
    Sequential,
    /// A worker that takes over from one that was killed in a Parallel run.
    Takeover,
    /// A worker whose run is cancelled while it calls: tests are filled, the run is collected, mail goes out.
    Cancelled,
    /// A run whose endpoint takes one call at a time and has a rate, with tests that wait for others and for room in a group, and a
    /// model that judges the answers, one at a time as well.
    Limited,
    /// What a worker does for everybody and at regular intervals while it executes a run.
    Background,
    /// The start of a worker: the handshake and the check of the server.
    Start,
    /// `testfleet submit` with an idempotency key, against a server that knows no script yet.
    Submission,
}

impl Scenario {
    pub(crate) const ALL: [Self; 8] = [
        Self::Parallel,
        Self::Sequential,
        Self::Takeover,
        Self::Cancelled,
        Self::Limited,
        Self::Background,
        Self::Start,
        Self::Submission,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Sequential => "sequential",
            Self::Takeover => "takeover",
            Self::Cancelled => "cancelled",
            Self::Limited => "limited",
            Self::Background => "background",
            Self::Start => "start",
            Self::Submission => "submission",
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// The connection is closed, and only that.
    Cut,
    /// Every connection of the process is closed.
    CutAll,
    /// `kill -9`.
    Kill,
    /// SIGSTOP, until others have been given its work; then SIGCONT, while they do it. What was on its way arrives then.
    Doze,
    /// SIGSTOP, until others have done its work; then SIGCONT.
    Freeze,
}

impl Fault {
    const ALL: [Self; 5] = [Self::Cut, Self::CutAll, Self::Kill, Self::Doze, Self::Freeze];

    fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::CutAll => "cut-all",
            Self::Kill => "kill",
            Self::Doze => "doze",
            Self::Freeze => "freeze",
        }
    }

    /// Whether the process stands still for a while.
    pub(crate) fn is_a_standstill(self) -> bool {
        matches!(self, Self::Doze | Self::Freeze)
    }

    /// Whether the process is still there and was never away.
    pub(crate) fn spares_the_process(self) -> bool {
        matches!(self, Self::Cut | Self::CutAll)
    }
}

/// One point; written `parallel:7:executed:kill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CrashPoint {
    pub(crate) scenario: Scenario,
    /// Which of the counted commands, from 1.
    pub(crate) nth: u64,
    pub(crate) at: Point,
    pub(crate) fault: Fault,
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = word_of(self.at);
        write!(
            formatter,
            "{}:{}:{at}:{}",
            self.scenario.word(),
            self.nth,
            self.fault.word()
        )
    }
}

fn word_of(at: Point) -> &'static str {
    match at {
        Point::Before => "before",
        Point::Executed => "executed",
        Point::After => "after",
    }
}

/// Every pair of moment and fault, ordered so that neighbours differ in both: three moments and five faults have no common
/// divisor, so counting both on meets all pairs.
fn pairs() -> Vec<(Point, Fault)> {
    let count = Point::ALL.len() * Fault::ALL.len();
    let pair = |index: usize| {
        (
            Point::ALL[index % Point::ALL.len()],
            Fault::ALL[index % Fault::ALL.len()],
        )
    };
    (0..count).map(pair).collect()
}

/// Pairs per command in the rotation: every command has this many, and five commands have all pairs between them.
const PAIRS_IN_ROTATION: usize = 3;

/// Which points are run. The variable `CRASH_POINTS` says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Every command, with some of the pairs each, so that every pair is met too: the default.
    Rotation,
    /// `all`: every command with every pair.
    All,
    /// Points, or beginnings of them such as `parallel:7`, separated by commas.
    Named(Vec<String>),
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" | "rotation" => Ok(Self::Rotation),
            "all" => Ok(Self::All),
            names => {
                let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
                let known = |name: &&String| {
                    let word = name.split(':').next().unwrap_or_default();
                    !Scenario::ALL.iter().any(|scenario| scenario.word() == word)
                };
                match names.iter().find(known) {
                    Some(name) => Err(format!("{name} is no crash point; one is parallel:7:executed:kill")),
                    None => Ok(Self::Named(names)),
                }
            }
        }
    }
}

impl Selection {
    /// What the environment asks for; panics when that cannot be read.
    pub(crate) fn from_environment() -> Self {
        let asked = std::env::var("CRASH_POINTS").unwrap_or_default();
        asked
            .parse()
            .unwrap_or_else(|problem| panic!("CRASH_POINTS: {problem}"))
    }

    /// Whether anything of the scenario may be wanted.
    pub(crate) fn wants(&self, scenario: Scenario) -> bool {
        match self {
            Self::Rotation | Self::All => true,
            Self::Named(names) => names.iter().any(|name| name.split(':').next() == Some(scenario.word())),
        }
    }

    /// In how many ways each kind of command is struck at least. A point names a place in the sequence of commands, and
    /// what stands there differs a little from run to run: even all points do not meet each kind in each way, and those of
    /// the rotation may miss one.
    pub(crate) fn ways(&self) -> usize {
        match self {
            Self::All => pairs().len() / 3,
            Self::Rotation | Self::Named(_) => 0,
        }
    }

    /// The points of a scenario whose process sends so many commands.
    pub(crate) fn points(&self, scenario: Scenario, commands: u64) -> Vec<CrashPoint> {
        let pairs = pairs();
        let mut points = Vec::new();
        for nth in 1..=commands {
            let first = usize::try_from(nth - 1).unwrap_or(0) * PAIRS_IN_ROTATION;
            for index in 0..pairs.len() {
                let (at, fault) = pairs[(first + index) % pairs.len()];
                let point = CrashPoint {
                    scenario,
                    nth,
                    at,
                    fault,
                };
                let wanted = match self {
                    Self::Rotation => index < PAIRS_IN_ROTATION,
                    Self::All => true,
                    Self::Named(names) => names.iter().any(|name| begins_with(&point.to_string(), name)),
                };
                if wanted {
                    points.push(point);
                }
            }
        }
        points
    }
}

/// Whether a name is the beginning of a point, in whole parts.
fn begins_with(point: &str, name: &str) -> bool {
    point
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_rotation_meets_every_command_and_every_pair() {
        let points = Selection::Rotation.points(Scenario::Parallel, 9);
        let commands: BTreeSet<u64> = points.iter().map(|point| point.nth).collect();
        assert_eq!(commands, (1..=9).collect());
        let met: BTreeSet<(Point, Fault)> = points.iter().map(|point| (point.at, point.fault)).collect();
        assert_eq!(met.len(), 15, "{met:?}");
        assert_eq!(points.len(), 9 * PAIRS_IN_ROTATION);
    }

    #[test]
    fn all_is_the_whole_product() {
        let points: BTreeSet<CrashPoint> = Selection::All.points(Scenario::Start, 5).into_iter().collect();
        assert_eq!(points.len(), 5 * 15);
    }

    #[test]
    fn a_point_can_be_named_or_begun() {
        let named = |text: &str| {
            let selection: Selection = text.parse().expect("a selection");
            let points = selection.points(Scenario::Sequential, 12);
            points.iter().map(ToString::to_string).collect::<Vec<String>>()
        };
        assert_eq!(named("sequential:7:executed:kill"), ["sequential:7:executed:kill"]);
        assert_eq!(named("sequential:1").len(), 15, "not the points of command 12");
        assert_eq!(named("parallel:1"), [""; 0]);
        assert!("sequenzial:7".parse::<Selection>().is_err());
    }
}
