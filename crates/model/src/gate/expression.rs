//! The grammar of gates:
//!
//! ```text
//! expression = measure comparator number ["%"]
//! measure    = part { "." part }
//! part       = name | '"' any '"'        a name has no blank, quote or comparator in it
//! comparator = ">=" | "<=" | ">" | "<" | "==" | "!="
//! ```

use std::fmt;

use super::measure::Measure;

/// How a measured number is held against the gate's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    /// At least.
    Ge,
    /// At most.
    Le,
    /// More.
    Gt,
    /// Less.
    Lt,
    /// Equal.
    Eq,
    /// Different.
    Ne,
}

impl Comparator {
    /// Every one; those of two characters first, since they begin with those of one.
    pub const ALL: [Self; 6] = [Self::Ge, Self::Le, Self::Eq, Self::Ne, Self::Gt, Self::Lt];

    /// As written in gates.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ge => ">=",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Lt => "<",
            Self::Eq => "==",
            Self::Ne => "!=",
        }
    }

    /// Whether the number holds against the bound.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "whoever writes == means exactly that number")]
    pub fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Ge => number >= bound,
            Self::Le => number <= bound,
            Self::Gt => number > bound,
            Self::Lt => number < bound,
            Self::Eq => number == bound,
            Self::Ne => number != bound,
        }
    }
}

/// What a gate says: `measure comparator number`.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// What is measured.
    pub measure: Measure,
    /// How it is compared.
    pub comparator: Comparator,
    /// With what.
    pub bound: f64,
}

const EXAMPLE: &str = "write MEASURE COMPARATOR NUMBER, such as pass_rate >= 0.95";

impl Expression {
    /// Reads the text of a gate.
    ///
    /// # Errors
    /// All that is wrong with it, each a fragment that says what to write instead.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let Some((left, comparator, right)) = split(text) else {
            return Err(vec![match text.contains(['=', '≥', '≤', '≠']) {
                true => format!("expected one of >=, <=, >, <, == and != between measure and number; {EXAMPLE}"),
                false => format!("a gate compares; {EXAMPLE}"),
            }]);
        };
        let (left, right) = (left.trim(), right.trim());
        if left.parse::<f64>().is_ok() {
            return Err(vec![format!("the measure comes first; {EXAMPLE}")]);
        }
        let measure = parts(left).and_then(|parts| Measure::parse(&parts));
        let is_rate = measure.as_ref().map_or(true, Measure::is_rate);
        match (measure, number(right, is_rate)) {
            (Ok(measure), Ok(bound)) => match measure.implausible(bound) {
                Some(problem) => Err(vec![problem]),
                None => Ok(Self {
                    measure,
                    comparator,
                    bound,
                }),
            },
            (Ok(_), Err(problem)) | (Err(problem), Ok(_)) => Err(vec![problem]),
            (Err(one), Err(other)) => Err(vec![one, other]),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.measure, self.comparator.word(), self.bound)
    }
}

/// The text before and after the first comparator that is not in quotes.
fn split(text: &str) -> Option<(&str, Comparator, &str)> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        quoted ^= c == '"';
        if quoted {
            continue;
        }
        let rest = &text[at..];
        let found = Comparator::ALL
            .into_iter()
            .find(|comparator| rest.starts_with(comparator.word()));
        if let Some(comparator) = found {
            return Some((&text[..at], comparator, &rest[comparator.word().len()..]));
        }
    }
    None
}

/// The parts of a measure's name. A part in quotes may hold anything but a quote.
fn parts(text: &str) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        let Some(part) = parts.last_mut() else { break };
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c if !quoted && (c.is_whitespace() || c == '\'') => {
                return Err(format!(
                    "{c:?} in the measure {text:?}; put names that are no plain words in quotes, such as metric.\"my tone\".mean"
                ));
            }
            c => part.push(c),
        }
    }
    if quoted {
        return Err(format!("a quote in {text:?} is never closed"));
    }
    if parts.iter().any(String::is_empty) {
        return Err(if text.is_empty() {
            format!("nothing is measured; {EXAMPLE}")
        } else {
            format!("the measure {text:?} has an empty name in it")
        });
    }
    Ok(parts)
}

fn number(text: &str, is_rate: bool) -> Result<f64, String> {
    let (digits, is_percent) = match text.strip_suffix('%') {
        Some(digits) => (digits.trim(), true),
        None => (text, false),
    };
    if is_percent && !is_rate {
        return Err("% is for rates; write the number itself".to_owned());
    }
    let looks_right = digits.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    // Shifted as text: 99.7 / 100 is not the number that 0.997 is.
    let shifted = match (is_percent, digits.contains(['e', 'E'])) {
        (true, true) => None,
        (true, false) => Some(format!("{digits}e-2")),
        (false, _) => Some(digits.to_owned()),
    };
    let parsed = shifted
        .filter(|_| looks_right)
        .and_then(|text| text.parse::<f64>().ok());
    parsed
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("expected a number after the comparator, found {text:?}"))
}

#[cfg(test)]
#[path = "expression_test.rs"]
mod tests;
