//! Names that somebody probably meant.

/// The known name that is closest to what was typed; `None` when none is close.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            let longest = candidate.chars().count().max(name.chars().count());
            // What begins like it was cut short rather than mistyped.
            *distance <= (longest / 3).clamp(1, 4)
                || (!lower.is_empty() && candidate.to_lowercase().starts_with(&lower))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_found_and_nothing_far_away() {
        let known = ["brightwater-chat", "brightwater-faq", "stub"];
        assert_eq!(nearest("brightwater-caht", known), Some("brightwater-chat"));
        assert_eq!(nearest("Brightwater-f", known), Some("brightwater-faq"));
        assert_eq!(nearest("payments", known), None);
        assert_eq!(nearest("", known), None);
    }
}
