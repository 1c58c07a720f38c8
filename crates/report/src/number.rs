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
}
