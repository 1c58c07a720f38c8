//! Where a value of the Redis protocol ends, in RESP2 and RESP3: enough to split a stream into commands and replies at
//! any byte boundary. It looks at lengths only and keeps values as the bytes they came in.

use std::fmt;

/// Values in values; our client and the server stay far below.
const DEEPEST: usize = 64;

/// Bytes that are no value of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The length of the first value of `bytes`; `None` while it is incomplete.
pub(crate) fn value_length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    measure(bytes, 0)
}

/// Whether a complete value answers no command: RESP3 lets a server speak unasked.
pub(crate) fn is_push(value: &[u8]) -> bool {
    value.first() == Some(&b'>')
}

/// The parts of a complete command: an array of bulk strings, or a line of words.
pub(crate) fn parts(value: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    let Some((header, mut at)) = line(value) else {
        return Err(Malformed("a command without an end".to_owned()));
    };
    if header.first() != Some(&b'*') {
        return Ok(header
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec)
            .collect());
    }
    let mut found = Vec::new();
    for _ in 0..number(header)?.unwrap_or(0) {
        let rest = value.get(at..).unwrap_or_default();
        let (Some((header, start)), Some(length)) = (line(rest), value_length(rest)?) else {
            return Err(Malformed("a command without all of its parts".to_owned()));
        };
        if header.first() != Some(&b'$') {
            return Err(Malformed("a command with a part that is no bulk string".to_owned()));
        }
        found.push(rest[start..length - 2].to_vec());
        at += length;
    }
    Ok(found)
}

/// The first line without its end, and where the next one begins.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], end + 2))
}

/// The number of a header such as `*3`; `None` for one below zero, which stands for nothing.
fn number(header: &[u8]) -> Result<Option<usize>, Malformed> {
    let text = String::from_utf8_lossy(header.get(1..).unwrap_or_default()).into_owned();
    match text.parse::<i64>() {
        Ok(number) => Ok(usize::try_from(number).ok()),
        Err(_) => Err(Malformed(format!("{text:?} where a length should be"))),
    }
}

fn measure(bytes: &[u8], depth: usize) -> Result<Option<usize>, Malformed> {
    if depth > DEEPEST {
        return Err(Malformed(format!("values more than {DEEPEST} levels deep")));
    }
    let Some((header, mut at)) = line(bytes) else {
        return Ok(None);
    };
    let values = match header.first() {
        // Strings with a length in front, and the end of a line after them.
        Some(b'$' | b'=' | b'!') => {
            let end = number(header)?.map_or(at, |length| at + length + 2);
            return Ok((bytes.len() >= end).then_some(end));
        }
        Some(b'*' | b'~' | b'>') => number(header)?.unwrap_or(0),
        Some(b'%') => number(header)?.unwrap_or(0) * 2,
        // Attributes come before the value that they are about.
        Some(b'|') => number(header)?.unwrap_or(0) * 2 + 1,
        // A line says it all: simple strings, errors, numbers, null, booleans; and commands that are a line of words.
        _ => 0,
    };
    for _ in 0..values {
        match measure(&bytes[at..], depth + 1)? {
            Some(length) => at += length,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    const VALUES: [&str; 18] = [
        "+OK\r\n",
        "-ERR no\r\n",
        ":-7\r\n",
        "$0\r\n\r\n",
        "$5\r\na\r\nbc\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(12345678901234567890\r\n",
        "=8\r\ntxt:text\r\n",
        "!3\r\nERR\r\n",
        "%1\r\n+key\r\n~1\r\n:1\r\n",
        "|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
        ">2\r\n+invalidate\r\n*0\r\n",
    ];

    #[test]
    fn a_value_is_complete_at_its_last_byte_and_not_before() {
        for value in VALUES {
            let bytes = value.as_bytes();
            for end in 0..bytes.len() {
                assert_eq!(value_length(&bytes[..end]), Ok(None), "{value:?} cut after {end} bytes");
            }
            let followed = [bytes, b"+next\r\n"].concat();
            assert_eq!(value_length(&followed), Ok(Some(bytes.len())), "{value:?}");
        }
    }

    #[test]
    fn only_pushes_answer_nothing() {
        let pushes: Vec<&str> = VALUES.into_iter().filter(|value| is_push(value.as_bytes())).collect();
        assert_eq!(pushes, [">2\r\n+invalidate\r\n*0\r\n"]);
    }

    #[test]
    fn commands_are_arrays_of_strings_or_lines_of_words() {
        let command = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n";
        assert_eq!(
            parts(command).unwrap(),
            [b"SET".to_vec(), b"k".to_vec(), b"a\r\nb".to_vec()]
        );
        assert_eq!(parts(b"PING  now\r\n").unwrap(), [b"PING".to_vec(), b"now".to_vec()]);
        assert!(parts(b"*1\r\n:1\r\n").is_err());
    }

    #[test]
    fn nonsense_is_named() {
        for nonsense in ["$x\r\n", "*\r\n", "%1.5\r\n"] {
            assert!(value_length(nonsense.as_bytes()).is_err(), "{nonsense:?}");
        }
        assert!(value_length("*1\r\n".repeat(100).as_bytes()).is_err());
    }
}
