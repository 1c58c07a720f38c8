//! Numbers as people read them.

/// `1,234,567` for whole numbers, else at most `decimals` digits after the point without trailing zeros.
pub(crate) fn grouped(number: f64, decimals: usize) -> String {
    let fixed = format!("{number:.decimals$}");
    let (whole, fraction) = fixed.split_once('.').unwrap_or((&fixed, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// How many digits after the point a measured number is shown with: three, and for those below a hundredth as many as show two
/// digits of it, at most twelve.
pub(crate) fn decimals(number: f64) -> usize {
    (3..12)
        .zip(std::iter::successors(Some(0.01), |bound| Some(bound / 10.0)))
        .find_map(|(decimals, bound)| (number == 0.0 || number.abs() >= bound).then_some(decimals))
        .unwrap_or(12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_and_zeros_dropped() {
        let table = [
            (0.0, 2, "0"),
            (999.0, 0, "999"),
            (1_000.0, 2, "1,000"),
            (1_234_567.5, 2, "1,234,567.5"),
            (-12_345.0, 0, "-12,345"),
            (0.001_234_567, 6, "0.001235"),
        ];
        for (number, decimals, text) in table {
            assert_eq!(grouped(number, decimals), text);
        }
    }

    #[test]
    fn small_numbers_keep_two_digits() {
        let table = [
            (0.0, "0"),
            (0.25, "0.25"),
            (37.503_44, "37.503"),
            (0.000_2, "0.0002"),
            (-0.000_123_456, "-0.00012"),
            (0.009_999, "0.01"),
            (0.002_345_6, "0.0023"),
            (1e-30, "0"),
        ];
        for (number, text) in table {
            assert_eq!(grouped(number, decimals(number)), text, "{number}");
        }
    }
}
