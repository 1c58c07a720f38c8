//! What a check found out, before `negate` and `on_error` have their say.

/// What was found; the error is why it could not be found out, a lower-case fragment.
pub(crate) type Outcome = Result<Finding, String>;

/// A fact about a response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) measure: Measure,
    /// The fact in words. It states what was seen, so it stays true when the metric is negated.
    pub(crate) reason: String,
    /// The scores of several samples.
    pub(crate) samples: Vec<f64>,
}

/// The two shapes of facts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measure {
    /// Something holds or does not.
    Holds(bool),
    /// A number, and whether it is where it has to be; with the threshold that says so, where it is one number.
    Number {
        value: f64,
        threshold: Option<f64>,
        within: bool,
    },
}

impl Finding {
    pub(crate) fn number(value: f64, threshold: Option<f64>, within: bool, reason: String) -> Self {
        Self {
            measure: Measure::Number {
                value,
                threshold,
                within,
            },
            reason,
            samples: Vec::new(),
        }
    }

    pub(crate) fn holds(holds: bool, reason: String) -> Self {
        Self {
            measure: Measure::Holds(holds),
            reason,
            samples: Vec::new(),
        }
    }
}

impl Measure {
    /// Whether the metric passes.
    pub(crate) fn passes(self, negate: bool) -> bool {
        let (Self::Holds(passes) | Self::Number { within: passes, .. }) = self;
        passes != negate
    }

    /// 1 or 0 for what holds or does not, turned round by `negate`; a measured number stays what was measured.
    pub(crate) fn score(self, negate: bool) -> f64 {
        match self {
            Self::Holds(_) => f64::from(u8::from(self.passes(negate))),
            Self::Number { value, .. } => value,
        }
    }

    pub(crate) fn threshold(self) -> Option<f64> {
        match self {
            Self::Holds(_) => None,
            Self::Number { threshold, .. } => threshold,
        }
    }
}
