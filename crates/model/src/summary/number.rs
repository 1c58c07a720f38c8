//! Sums that stay numbers and do not depend on the order in which they were added.

/// The sum, which stays a number: JSON has no infinity, so a stored summary with one could not be read again.
pub(super) fn plus(sum: f64, amount: f64) -> f64 {
    (sum + amount).clamp(f64::MIN, f64::MAX)
}

/// Rounds away what adding fractions in another order would change.
pub(super) fn twelve_digits(sum: f64) -> f64 {
    format!("{sum:.11e}").parse().unwrap_or(sum)
}
