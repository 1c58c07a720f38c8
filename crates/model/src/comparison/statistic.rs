//! Exact tests of significance. None of them assumes a distribution or needs a minimal size: on few tests they say that
//! nothing can be said.
//!
//! Sources: R. A. Fisher, *Statistical Methods for Research Workers*, 1934, § 21.02; Q. McNemar, *Psychometrika* 12 (1947),
//! 153–157, in its exact form, which is the sign test over the pairs that differ. Held against `scipy.stats.fisher_exact` and
//! `scipy.stats.binomtest` (`scripts/comparison-vectors.py`).

/// What floating point may make of two probabilities that are the same.
const SAME: f64 = 1.0 + 1e-7;

/// Two-sided p-value of Fisher's exact test: how probable a table at least as uneven as this is, when passing is equally
/// probable on both sides. 1 when a side is empty.
#[must_use]
pub fn fisher_exact(passed_before: u32, of_before: u32, passed_after: u32, of_after: u32) -> f64 {
    let passed = u64::from(passed_before.min(of_before)) + u64::from(passed_after.min(of_after));
    let (before, after) = (u64::from(of_before), u64::from(of_after));
    let all = before + after;
    let logarithm = |passed_before: u64| {
        ln_choose(before, passed_before) + ln_choose(after, passed - passed_before) - ln_choose(all, passed)
    };
    let observed = logarithm(u64::from(passed_before.min(of_before))).exp();
    let p_value: f64 = (passed.saturating_sub(after)..=passed.min(before))
        .map(|passed_before| logarithm(passed_before).exp())
        .filter(|probability| *probability <= observed * SAME)
        .sum();
    p_value.min(1.0)
}

/// Two-sided p-value of the sign test: how probable it is that of `up + down` pairs that differ at least as many go one way,
/// when both ways are equally probable. Over passed and not passed this is McNemar's exact test. 1 without a pair.
#[must_use]
pub fn sign_test(up: u32, down: u32) -> f64 {
    let (fewer, all) = (u64::from(up.min(down)), u64::from(up) + u64::from(down));
    #[expect(clippy::cast_precision_loss, reason = "below 2^33")]
    let ln_all = all as f64 * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for count in (0..=fewer).rev() {
        let probability = (ln_choose(all, count) - ln_all).exp();
        tail += probability;
        // They fall faster than by half from here on.
        if probability < tail * 1e-17 {
            break;
        }
    }
    (2.0 * tail).min(1.0)
}

fn ln_choose(of: u64, taken: u64) -> f64 {
    ln_factorial(of) - ln_factorial(taken) - ln_factorial(of - taken)
}

/// The logarithm of n!, by its product for small n, else by Stirling's series, whose first term left out is below 1e-18.
#[expect(clippy::cast_precision_loss, reason = "below 2^33")]
fn ln_factorial(n: u64) -> f64 {
    if n < 128 {
        return (2..=n).map(|factor| (factor as f64).ln()).sum();
    }
    let n = n as f64;
    let series = 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3)) + 1.0 / (1_260.0 * n.powi(5));
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + series
}

#[cfg(test)]
#[path = "statistic_test.rs"]
mod tests;
