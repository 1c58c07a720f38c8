//! A time as people write it.

/// `850ms`, `12.4s`, `1m 23s`, `2h 5m`, `1d 3h`: two units at most, cut and never rounded up to the next unit.
/// Below 10 ms one decimal is kept (`0.4ms`). What is no time (negative, not a number) reads `0ms`.
#[must_use]
pub fn elapsed_text(milliseconds: f64) -> String {
    if !(milliseconds.is_finite() && milliseconds > 0.0) {
        return "0ms".to_owned();
    }
    if milliseconds < 10.0 {
        let tenths = (milliseconds * 10.0).floor();
        return format!("{}ms", tenths / 10.0);
    }
    if milliseconds < 1_000.0 {
        return format!("{}ms", milliseconds.floor());
    }
    if milliseconds < 60_000.0 {
        let tenths = (milliseconds / 100.0).floor();
        return format!("{}s", tenths / 10.0);
    }
    // A float casts to the nearest representable integer, so no input can overflow here.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and saturating"
    )]
    let seconds = (milliseconds / 1_000.0) as u64;
    let (big, big_unit, small, small_unit) = match seconds {
        0..3_600 => (seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => (seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => (seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    };
    format!("{big}{big_unit} {small}{small_unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_people_write_it() {
        let table = [
            (0.0, "0ms"),
            (-5.0, "0ms"),
            (f64::NAN, "0ms"),
            (0.42, "0.4ms"),
            (9.99, "9.9ms"),
            (850.0, "850ms"),
            (999.9, "999ms"),
            (1_000.0, "1s"),
            (12_450.0, "12.4s"),
            (59_999.0, "59.9s"),
            (60_000.0, "1m 0s"),
            (83_000.0, "1m 23s"),
            (3_599_999.0, "59m 59s"),
            (7_500_000.0, "2h 5m"),
            (97_200_000.0, "1d 3h"),
        ];
        for (milliseconds, text) in table {
            assert_eq!(elapsed_text(milliseconds), text, "{milliseconds}");
        }
    }
}
