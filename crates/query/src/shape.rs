//! What a path may cost on a document, from what it looks like and how large the document is.
//!
//! Whoever evaluates paths cannot be interrupted, and a short path can visit far more nodes than there are: `$..*..*..*`,
//! `$[0,0][0,0]…`, a filter that starts again at the root. So an upper bound is computed before, and a path that is beyond it on
//! this document is not applied to it. What functions do with texts is counted while they do it (`function.rs`).

use serde_json::Value;

/// Nodes a path may visit, by the upper bound. One takes 20 to 50 ns.
const MAX_VISITS: f64 = 5_000_000.0;
/// Bytes of texts that compare as fast as a node is visited.
const BYTES_PER_VISIT: usize = 64;
/// Levels of a document; JSON parsers stop at 128.
const MAX_LEVELS: usize = 500;

/// What a path's cost depends on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    /// Names and indices only.
    pub(crate) singular: bool,
    /// Deepest nesting.
    pub(crate) brackets: usize,
    pub(crate) parentheses: usize,
    /// Segments `..`.
    descents: i32,
    /// Product of the numbers of selectors of all brackets.
    fan: f64,
    /// Queries, with those within filters: for each node that a filter looks at, each of its queries is asked.
    queries: f64,
    /// Queries from the root within filters that cost as much as the document is large; they run once per node.
    restarts: i32,
}

impl Shape {
    /// Reads a path without parsing it: string literals are skipped, the rest is counted.
    pub(crate) fn of(text: &str) -> Self {
        let mut shape = Self {
            singular: true,
            brackets: 0,
            parentheses: 0,
            descents: 0,
            fan: 1.0,
            queries: 0.0,
            restarts: 0,
        };
        let marks = marks(text);
        // Open brackets and parentheses; a bracket with the number of its selectors so far.
        let mut open: Vec<Option<f64>> = Vec::new();
        for (at, mark) in marks.iter().enumerate() {
            shape.singular &= !is_broad(&marks, at);
            match mark {
                b'[' => open.push(Some(1.0)),
                b'(' => open.push(None),
                b']' | b')' => {
                    if let Some(Some(selectors)) = open.pop() {
                        shape.fan *= selectors;
                    }
                }
                b',' => {
                    if let Some(Some(selectors)) = open.last_mut() {
                        *selectors += 1.0;
                    }
                }
                b'.' if marks.get(at + 1) == Some(&b'.') => shape.descents += 1,
                b'@' => shape.queries += 1.0,
                b'$' => {
                    shape.queries += 1.0;
                    shape.restarts += i32::from(at > 0 && restarts_broadly(&marks, at));
                }
                _ => {}
            }
            let brackets = open.iter().filter(|level| level.is_some()).count();
            shape.brackets = shape.brackets.max(brackets);
            shape.parentheses = shape.parentheses.max(open.len() - brackets);
        }
        shape
    }

    /// # Errors
    ///
    /// The path could cost too much on this document, or the document is nested too deep.
    pub(crate) fn check(&self, document: &Value) -> Result<(), String> {
        if self.singular {
            return Ok(());
        }
        let Extent { nodes, bytes, levels } = Extent::of(document);
        if levels > MAX_LEVELS {
            return Err(format!(
                "the document is nested {levels} levels deep; a JSONPath is applied to at most {MAX_LEVELS}"
            ));
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (size, depth) = ((nodes + bytes / BYTES_PER_VISIT) as f64, levels as f64);
        let visits =
            size * depth.powi((self.descents - 1).max(0)) * self.fan * size.powi(self.restarts) * self.queries.max(1.0);
        if visits > MAX_VISITS {
            return Err(format!(
                "the JSONPath could visit about {visits:.0} nodes of this document ({nodes} nodes, {levels} levels); \
                 at most {MAX_VISITS} are allowed; use fewer `..`, fewer selectors and fewer conditions in one path"
            ));
        }
        Ok(())
    }
}

/// The bytes of a path outside its string literals and white space; a literal leaves one `'`.
fn marks(text: &str) -> Vec<u8> {
    let mut marks = Vec::new();
    let mut quote = None;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match quote {
            Some(_) if byte == b'\\' => {
                bytes.next();
            }
            Some(end) if byte == end => quote = None,
            Some(_) => {}
            None if byte == b'\'' || byte == b'"' => {
                quote = Some(byte);
                marks.push(b'\'');
            }
            None if byte.is_ascii_whitespace() => {}
            None => marks.push(byte),
        }
    }
    marks
}

/// Whether the mark makes a path select a list.
fn is_broad(marks: &[u8], at: usize) -> bool {
    match marks.get(at) {
        Some(b'*' | b'?' | b',' | b':') => true,
        Some(b'.') => marks.get(at + 1) == Some(&b'.'),
        _ => false,
    }
}

/// Whether what starts at the `$` within a filter costs as much as the document is large: it can visit more than one node,
/// or it is compared with another value from the root.
fn restarts_broadly(marks: &[u8], start: usize) -> bool {
    let mut depth = 0_usize;
    for (at, mark) in marks.iter().enumerate().skip(start + 1) {
        match mark {
            b'[' => depth += 1,
            b']' if depth > 0 => depth -= 1,
            b'=' | b'!' | b'<' | b'>' if depth == 0 => {
                let other = marks.iter().skip(at).find(|mark| !b"=!<>".contains(mark));
                return other == Some(&b'$');
            }
            b']' | b')' | b',' | b'&' | b'|' if depth == 0 => return false,
            _ if is_broad(marks, at) => return true,
            _ => {}
        }
    }
    false
}

/// How large a document is.
struct Extent {
    nodes: usize,
    /// Of its texts and names.
    bytes: usize,
    levels: usize,
}

impl Extent {
    fn of(document: &Value) -> Self {
        let mut extent = Self {
            nodes: 0,
            bytes: 0,
            levels: 0,
        };
        let mut open = vec![(document, 1)];
        while let Some((node, level)) = open.pop() {
            extent.nodes += 1;
            extent.levels = extent.levels.max(level);
            match node {
                Value::Array(list) => open.extend(list.iter().map(|child| (child, level + 1))),
                Value::Object(map) => {
                    extent.bytes += map.keys().map(String::len).sum::<usize>();
                    open.extend(map.values().map(|child| (child, level + 1)));
                }
                Value::String(text) => extent.bytes += text.len(),
                _ => {}
            }
        }
        extent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_again_at_the_root_for_every_node_is_counted() {
        for (path, restarts) in [
            ("$.a[?@.b]", 0),
            ("$[?@.id == $[17].id]", 0),
            ("$[?$.a == @.b]", 0),
            ("$[?$.a == 1 || $.b > @.c]", 0),
            ("$[?$.a == $.b]", 1),
            ("$[?$['==']<=$.b]", 1),
            ("$[?$..id]", 1),
            ("$[?$[?$[*]]]", 2),
            ("$[?count($.a.*) > 1]", 1),
            ("$[?@.a == '$..x == $']", 0),
        ] {
            assert_eq!(Shape::of(path).restarts, restarts, "{path}");
        }
    }
}
