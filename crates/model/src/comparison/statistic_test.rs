//! Held against scipy: `scripts/comparison-vectors.py` wrote the vectors.

use proptest::prelude::*;

use super::*;

#[derive(serde::Deserialize)]
struct Vectors {
    fisher_exact: Vec<(u32, u32, u32, u32, f64)>,
    sign_test: Vec<(u32, u32, f64)>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("statistic_vectors.json")).unwrap()
}

fn assert_close(found: f64, expected: f64, of: &str) {
    assert!(
        (found - expected).abs() <= 1e-8 * expected,
        "{of}: {found:e}, scipy says {expected:e}"
    );
}

#[test]
fn p_values_are_those_of_scipy() {
    let Vectors {
        fisher_exact: tables,
        sign_test: pairs,
    } = vectors();
    assert!(tables.len() > 500 && pairs.len() > 150);
    for (passed_before, of_before, passed_after, of_after, expected) in tables {
        let found = fisher_exact(passed_before, of_before, passed_after, of_after);
        assert_close(
            found,
            expected,
            &format!("{passed_before}/{of_before} {passed_after}/{of_after}"),
        );
    }
    for (up, down, expected) in pairs {
        assert_close(sign_test(up, down), expected, &format!("{up} {down}"));
    }
}

#[test]
fn nothing_to_compare_is_never_significant() {
    assert!((fisher_exact(0, 0, 3, 5) - 1.0).abs() < 1e-12);
    assert!((fisher_exact(0, 0, 0, 0) - 1.0).abs() < 1e-12);
    assert!((sign_test(0, 0) - 1.0).abs() < 1e-12);
}

proptest! {
    #[test]
    fn p_values_are_probabilities_whatever_the_counts(a in 0u32..300, n in 0u32..300, b in 0u32..300, m in 0u32..300) {
        for p_value in [fisher_exact(a, n, b, m), sign_test(a, b)] {
            prop_assert!(p_value > 0.0 && p_value <= 1.0, "{}", p_value);
        }
        let (there, back) = (fisher_exact(a, n, b, m), fisher_exact(b, m, a, n));
        prop_assert!((there - back).abs() <= 1e-9 * there);
    }
}
