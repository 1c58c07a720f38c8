//! Sizes as people write them: `65536`, `64KiB`, `1MiB`, `1 MB`.

/// Units and their bytes. The binary ones end in `iB`; the others are decimal, as the standards have it.
const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The bytes of a size; `None` when it is none. Units may be written in any case.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, bytes) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// The shortest exact text.
pub(super) fn format(bytes: u64) -> String {
    let binary = UNITS[5..]
        .iter()
        .rev()
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size));
    binary.map_or_else(|| bytes.to_string(), |(unit, size)| format!("{}{unit}", bytes / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_decimal_or_no_units() {
        let cases = [
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("1 MB", 1_000_000),
            ("1mib", 1 << 20),
            ("2GiB", 2 << 30),
            ("7B", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "-1", "1.5MiB", "1XB", "99999999999GiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_reads_back_as_written() {
        for bytes in [0, 1, 1000, 1024, 1536, 256 << 10, 1 << 20, 3 << 30] {
            assert_eq!(parse(&format(bytes)), Some(bytes));
        }
        assert_eq!(format(256 << 10), "256KiB");
    }
}
