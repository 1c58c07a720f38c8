//! Bounded excerpts for reasons: a result must stay small however long the answer was.

/// Characters of a text that a reason shows at most.
const SHOWN: usize = 120;

/// The beginning of a text in quotes, control characters escaped; `…` behind the quote when it was cut.
pub(crate) fn quote(text: &str) -> String {
    let (head, cut) = head(text, SHOWN);
    format!("{}{}", serde_json::Value::from(head), if cut { "…" } else { "" })
}

/// The beginning of a regular expression between slashes, as it is written: in quotes every backslash would be doubled. Control
/// characters are escaped; `…` behind the slash when it was cut.
pub(crate) fn slashed(pattern: &str) -> String {
    let (head, cut) = head(pattern, SHOWN);
    let mut shown = String::with_capacity(head.len() + 2);
    for c in head.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    format!("/{shown}/{}", if cut { "…" } else { "" })
}

/// Several quoted texts; those beyond the first five are counted only.
pub(crate) fn quote_all<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> String {
    const LISTED: usize = 5;
    let more = texts.len().saturating_sub(LISTED);
    let listed: Vec<_> = texts.take(LISTED).map(quote).collect();
    let listed = listed.join(", ");
    if more > 0 {
        format!("{listed} and {more} more")
    } else {
        listed
    }
}

/// A sentence made by somebody else (a parser, a validator), cut to `limit` characters and put on one line.
pub(crate) fn sentence(text: &str, limit: usize) -> String {
    let (head, cut) = head(text, limit);
    let line = head.split_whitespace().collect::<Vec<_>>().join(" ");
    if cut { format!("{line}…") } else { line }
}

fn head(text: &str, limit: usize) -> (&str, bool) {
    match text.char_indices().nth(limit) {
        Some((end, _)) => (text.get(..end).unwrap_or(text), true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_cut_between_characters() {
        let shown = quote(&"ü".repeat(500));
        assert_eq!(shown, format!("\"{}\"…", "ü".repeat(SHOWN)));
        assert_eq!(quote("say \"hi\"\n"), r#""say \"hi\"\n""#);
    }

    #[test]
    fn a_pattern_stands_as_it_is_written() {
        assert_eq!(slashed("\\b14 days\\b"), "/\\b14 days\\b/");
        assert_eq!(slashed("(?x) a\nb"), "/(?x) a\\nb/");
        assert_eq!(slashed(&"ü".repeat(500)), format!("/{}/…", "ü".repeat(SHOWN)));
    }

    #[test]
    fn a_long_list_is_counted_instead_of_shown() {
        let texts = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(quote_all(texts.into_iter()), r#""a", "b", "c", "d", "e" and 2 more"#);
    }
}
