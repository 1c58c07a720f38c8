//! Outcomes of a run as they are stored for others to be compared with: the first line; in the second those of another run.

use testfleet_model::comparison::{Outcomes, compare};
use testfleet_model::configuration::ComparisonRules;

use super::input::{first_line, said, text};

/// Changes that are listed.
const LISTED: usize = 5;

/// Reads them and compares one with the other.
pub fn check(data: &[u8]) {
    let (before, after) = first_line(data);
    let (Some(before), Some(after)) = (read(before), read(after)) else {
        return;
    };
    let rules = ComparisonRules::default();
    let comparison = compare(&before, &after, &rules, LISTED);
    let both = before.tests.keys().filter(|id| after.tests.contains_key(*id)).count() as u32;
    let told = comparison.compared() + comparison.not_compared;
    assert_eq!(told, both, "{comparison:?}");
    assert_eq!(comparison.removed, before.tests.len() as u32 - both);
    assert_eq!(comparison.new, after.tests.len() as u32 - both);
    assert!(comparison.listed.len() <= LISTED);
    assert!((0.0..=1.0).contains(&comparison.p_value), "{comparison:?}");
    assert!(comparison.passed_before.max(comparison.passed_after) <= comparison.compared());
    let written = serde_json::to_string(&comparison).expect("a comparison can be stored");
    serde_json::from_str::<serde_json::Value>(&written).expect("it is JSON");
}

/// Reads one, and what is written of it again.
fn read(stored: &[u8]) -> Option<Outcomes> {
    match Outcomes::from_stored(&text(stored)) {
        Ok(read) => {
            let written = read.to_stored().expect("what was read can be written");
            let again = Outcomes::from_stored(&written).expect("what was written reads");
            assert_eq!(again.to_stored().expect("it can be written"), written);
            Some(read)
        }
        Err(problem) => {
            said(&problem.to_string());
            None
        }
    }
}
