//! `jaro-winkler`: the similarity of short texts such as names.
//!
//! Source: W. E. Winkler, "String Comparator Metrics and Enhanced Decision Rules in the Fellegi-Sunter Model of Record
//! Linkage", 1990: Jaro's similarity, raised by a tenth of what it lacks to 1 for each of up to four code points that both
//! texts begin with, where it is more than 0.7. Two empty texts are equal: 1.

/// Pairs of code points that are compared: two texts of 10,000, some tenths of a second.
const MAX_PAIRS: usize = 100_000_000;

/// 0 to 1, in code points.
///
/// # Errors
///
/// The texts are too long.
pub(super) fn similarity(left: &str, right: &str) -> Result<f64, String> {
    if left == right {
        return Ok(1.0);
    }
    let lengths = (left.chars().count(), right.chars().count());
    if lengths.0.saturating_mul(lengths.1) > MAX_PAIRS {
        return Err(format!(
            "the texts are too long to compare ({} and {} code points); two of 10000 code points are the most that \
             is compared",
            lengths.0, lengths.1
        ));
    }
    Ok(strsim::jaro_winkler(left, right))
}
