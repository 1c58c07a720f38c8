//! The project's own pages: their tables and their blocks of code, so that tests can try what they say.

use std::path::{Path, PathBuf};

/// A block of code in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The word after the opening fence: `sh`, `yaml`, `console`, or empty.
    pub language: String,
    /// The line it begins at, from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
}

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the workspace")
        .to_owned()
}

/// The text of a page, by its path from the root.
#[must_use]
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// The fenced blocks of a page, in its order.
#[must_use]
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => found.push(block),
            (Some(language), None) => {
                open = Some(Block {
                    language: language.trim().to_owned(),
                    line: number,
                    text: String::new(),
                });
            }
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block of code is not closed");
    found
}

/// The rows of the first table whose heading has all these columns, as cells without spaces around them.
#[must_use]
pub fn table(text: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = text.lines().skip_while(|line| {
        let heading = cells(line);
        !line.starts_with('|') || !columns.iter().all(|column| heading.iter().any(|cell| cell == column))
    });
    assert!(lines.next().is_some(), "there is no table with the columns {columns:?}");
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

/// The words between backticks in a cell.
#[must_use]
pub fn code_words(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Splits a command as a shell does where it has only words and quotes.
#[must_use]
pub fn shell_words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in command.chars() {
        match (character, quote) {
            (end, Some(open)) if end == open => quote = None,
            (inner, Some(_)) => word.get_or_insert_default().push(inner),
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (space, None) if space.is_whitespace() => words.extend(word.take()),
            (other, None) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_language_and_their_line() {
        let text = "a\n```sh\nmake test\n```\nb\n```\nx\n```\n";
        let found = blocks(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].language.as_str(), found[0].line), ("sh", 2));
        assert_eq!(found[0].text, "make test\n");
    }

    #[test]
    fn a_table_is_found_by_its_heading() {
        let text = "| x |\n|---|\n| 1 |\n\n| a | b |\n|---|---|\n| `1` `2` | |\n| 3 | 4 |\ntext";
        assert_eq!(table(text, &["a", "b"]), [["`1` `2`", ""], ["3", "4"]]);
        assert_eq!(code_words("`1` and `2`"), ["1", "2"]);
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(shell_words("get 'tf:{0}:a b' \"c\" ''"), ["get", "tf:{0}:a b", "c", ""]);
    }
}
