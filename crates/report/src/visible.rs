//! Text of endpoints and users made safe to show: bounded, and without characters that steer a terminal, end a
//! line or turn its direction.

/// The text on one line for reading: runs of white space become one blank, other characters that steer become
/// visible (`\x1b`, `\u{202e}`). Longer than `max_chars` characters, it ends in `…`.
#[must_use]
pub fn one_line(text: &str, max_chars: usize) -> String {
    let mut blank = true;
    let collapsed = text.chars().filter_map(move |c| {
        let white = c.is_whitespace();
        let skipped = white && blank;
        blank = white;
        (!skipped).then_some(if white { ' ' } else { c })
    });
    let mut line = bounded(collapsed, max_chars, push_visible);
    line.truncate(line.trim_end().len());
    line
}

/// The text on one line for comparing: every line break and tab is visible (`\n`, `\t`), blanks are kept.
/// Longer than `max_chars` characters, it ends in `…`.
#[must_use]
pub fn exact(text: &str, max_chars: usize) -> String {
    bounded(text.chars(), max_chars, push_visible)
}

/// The text with its lines, for places that have several: other characters that steer become visible.
/// Longer than `max_chars` characters, it ends in `…`.
#[must_use]
pub fn lines(text: &str, max_chars: usize) -> String {
    bounded(text.chars(), max_chars, |into, c| match c {
        '\n' | '\t' => into.push(c),
        '\r' => {}
        _ => push_visible(into, c),
    })
}

/// The text without any character that steers, for mail headers. Longer than `max_chars` characters, it ends
/// in `…`.
#[must_use]
pub fn header(text: &str, max_chars: usize) -> String {
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let line = bounded(spaced.filter(|c| !steers(*c)), max_chars, String::push);
    line.trim().to_owned()
}

/// Whether a character does something other than appear: controls (C0, DEL, C1), line and paragraph separators,
/// marks of direction, tags, noncharacters and the byte order mark. Joiners are left, since scripts and emoji need them.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

fn push_visible(into: &mut String, c: char) {
    match c {
        '\n' => into.push_str("\\n"),
        '\r' => into.push_str("\\r"),
        '\t' => into.push_str("\\t"),
        c if steers(c) && (c as u32) < 0x100 => into.push_str(&format!("\\x{:02x}", c as u32)),
        c if steers(c) => into.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c => into.push(c),
    }
}

/// Reads no further than it must, since outputs may be large.
fn bounded(chars: impl Iterator<Item = char>, max_chars: usize, push: impl Fn(&mut String, char)) -> String {
    let mut chars = chars;
    let mut text = String::new();
    for c in chars.by_ref().take(max_chars) {
        push(&mut text, c);
    }
    if chars.next().is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_terminals_become_visible() {
        assert_eq!(one_line("a\x1b[31mred\x07\u{9b}2J", 100), "a\\x1b[31mred\\x07\\x9b2J");
        assert_eq!(exact("\u{202e}abc\u{feff}", 100), "\\u{202e}abc\\u{feff}");
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line("  a\r\n\n\tb \u{2028}c  ", 100), "a b c");
        assert_eq!(exact(" a\r\n\tb", 100), " a\\r\\n\\tb");
        assert_eq!(lines("a\r\nb\x1b", 100), "a\nb\\x1b");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(one_line("äöüß", 3), "äöü…");
        assert_eq!(one_line("äöüß", 4), "äöüß");
        assert_eq!(exact("", 0), "");
    }

    #[test]
    fn a_header_cannot_be_ended() {
        assert_eq!(header("a\r\nBcc: x@example.org\0", 100), "a  Bcc: x@example.org");
    }

    #[test]
    fn joined_emoji_stay_whole() {
        let family = "👩\u{200d}👧";
        assert_eq!(one_line(family, 10), family);
    }
}
