//! Cuts a stream into events: `text/event-stream` as the WHATWG HTML specification (section 9.2.6) reads it, or one JSON
//! text a line.
//!
//! Bytes may come in any pieces; the events are the same. Of the fields of an event `event` and `data` are kept: `id` and
//! `retry` are for a client that connects again, which a call never does. What is invalid UTF-8 is replaced. An event whose
//! final empty line never came is none, but the last line of JSON may lack its end.
//!
//! What is held is bounded: a line, and the data of one event, have at most as many bytes as allowed.

/// How a stream is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Sse,
    /// Lines of JSON.
    Ndjson,
    /// None: the messages of a WebSocket are cut already.
    Messages,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its type; `message` where it says none, and for lines of JSON.
    pub(crate) kind: String,
    /// Its data.
    pub(crate) data: String,
}

/// A line or the data of an event is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of the stream, or the data of one event, is longer than {longest} bytes")]
pub(crate) struct TooLong {
    longest: usize,
}

/// Turns bytes into events.
#[derive(Debug)]
pub(crate) struct Splitter {
    framing: Framing,
    longest: usize,
    /// What was pushed and not yet read; up to `read` it is done with.
    pending: Vec<u8>,
    read: usize,
    /// Up to where no end of a line is, so that a long line is searched once.
    searched: usize,
    /// The last line ended with CR; LF right after it belongs to that end.
    after_return: bool,
    /// Nothing was read yet, so a byte order mark may come.
    at_start: bool,
    kind: String,
    data: String,
}

impl Splitter {
    /// A splitter whose lines, and whose events' data, are at most `longest` bytes long.
    pub(crate) fn new(framing: Framing, longest: usize) -> Self {
        Self {
            framing,
            longest,
            pending: Vec::new(),
            read: 0,
            searched: 0,
            after_return: false,
            at_start: true,
            kind: String::new(),
            data: String::new(),
        }
    }

    /// Takes the next bytes. Read the events that are complete now with [`Self::next`].
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.read);
        self.searched -= self.read;
        self.read = 0;
        self.pending.extend_from_slice(bytes);
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> usize {
        self.pending.len() - self.read + self.data.len()
    }

    /// The next complete event; `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, TooLong> {
        while let Some((start, end)) = self.line()? {
            if let Some(event) = self.take(start, end)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// What the end of the stream completes.
    pub(crate) fn finish(&mut self) -> Option<Event> {
        if self.framing == Framing::Sse {
            return None;
        }
        let (start, end) = (self.read, self.pending.len());
        self.read = end;
        self.searched = end;
        // Its length was looked at when it was pushed.
        self.take(start, end).ok().flatten()
    }

    /// Where the next complete line lies, without its end.
    fn line(&mut self) -> Result<Option<(usize, usize)>, TooLong> {
        if self.after_return && self.read < self.pending.len() {
            self.after_return = false;
            if self.pending[self.read] == b'\n' {
                self.read += 1;
                self.searched = self.searched.max(self.read);
            }
        }
        let ends = |byte: &u8| *byte == b'\n' || (*byte == b'\r' && self.framing == Framing::Sse);
        let found = self.pending[self.searched..].iter().position(ends);
        let end = found.map_or(self.pending.len(), |at| self.searched + at);
        if end - self.read > self.longest {
            return Err(TooLong { longest: self.longest });
        }
        if found.is_none() {
            self.searched = end;
            return Ok(None);
        }
        let start = self.read;
        self.after_return = self.pending[end] == b'\r';
        self.read = end + 1;
        self.searched = self.read;
        Ok(Some((start, end)))
    }

    fn take(&mut self, start: usize, end: usize) -> Result<Option<Event>, TooLong> {
        let mut line = &self.pending[start..end];
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let line = String::from_utf8_lossy(line);
        if self.framing == Framing::Ndjson {
            let data = line.trim();
            return Ok((!data.is_empty()).then(|| Event {
                kind: "message".to_owned(),
                data: data.to_owned(),
            }));
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if self.data.len() + value.len() > self.longest {
                    return Err(TooLong { longest: self.longest });
                }
                self.data.push_str(value);
                self.data.push('\n');
            }
            // A comment (its field has no name), `id`, `retry`, or what nobody knows.
            _ => {}
        }
        Ok(None)
    }

    /// The event that an empty line ends; none without data.
    fn dispatch(&mut self) -> Option<Event> {
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        Some(Event {
            kind: if kind.is_empty() { "message".to_owned() } else { kind },
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(framing: Framing, chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut splitter = Splitter::new(framing, 1_000);
        let mut events = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            while let Some(event) = splitter.next().unwrap() {
                events.push((event.kind, event.data));
            }
        }
        events.extend(splitter.finish().map(|event| (event.kind, event.data)));
        events
    }

    fn sse(text: &str) -> Vec<(String, String)> {
        split(Framing::Sse, &[text.as_bytes()])
    }

    fn data(texts: &[&str]) -> Vec<(String, String)> {
        texts
            .iter()
            .map(|text| ("message".to_owned(), (*text).to_owned()))
            .collect()
    }

    /// The specification step by step, over the whole text.
    fn specified(bytes: &[u8]) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut lines: Vec<String> = Vec::new();
        let mut line = String::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\r' => {
                    letters.next_if_eq(&'\n');
                    lines.push(std::mem::take(&mut line));
                }
                '\n' => lines.push(std::mem::take(&mut line)),
                other => line.push(other),
            }
        }
        let (mut events, mut kind, mut data) = (Vec::new(), String::new(), String::new());
        for line in lines {
            if line.is_empty() {
                if !data.is_empty() {
                    data.pop();
                    let name = if kind.is_empty() { "message" } else { &kind };
                    events.push((name.to_owned(), data.clone()));
                }
                kind.clear();
                data.clear();
                continue;
            }
            let (field, value) = match line.find(':') {
                Some(0) => continue,
                Some(at) => (&line[..at], &line[at + 1..]),
                None => (line.as_str(), ""),
            };
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => kind = value.to_owned(),
                "data" => {
                    data += value;
                    data.push('\n');
                }
                _ => {}
            }
        }
        events
    }

    #[test]
    fn the_examples_of_the_specification_are_read_as_it_says() {
        assert_eq!(sse("data: YHOO\ndata: +2\ndata: 10\n\n"), data(&["YHOO\n+2\n10"]));
        let text = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        assert_eq!(sse(text), data(&["first event", "second event", " third event"]));
        assert_eq!(sse("data\n\ndata\ndata\n\ndata:"), data(&["", "\n"]));
        assert_eq!(sse("data:test\n\ndata: test\n\n"), data(&["test", "test"]));
        assert_eq!(
            sse("event: add\ndata: 1\n\nevent: none\n\ndata: 2\n\n"),
            [("add".into(), "1".into()), ("message".into(), "2".into())]
        );
    }

    #[test]
    fn lines_end_with_cr_lf_or_both_and_a_mark_at_the_start_is_skipped() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("\u{feff}data: a{end}data: b{end}{end}retry: 9{end}data: c{end}{end}");
            assert_eq!(sse(&text), data(&["a\nb", "c"]), "{end:?}");
        }
        assert_eq!(sse("data: a\n\n\u{feff}data: b\n\n"), data(&["a"]), "only at the start");
    }

    #[test]
    fn an_event_is_there_as_soon_as_its_empty_line_is() {
        let mut splitter = Splitter::new(Framing::Sse, 100);
        splitter.push(b"data: a\r\n\r");
        assert_eq!(splitter.next().unwrap().unwrap().data, "a");
        splitter.push(b"\n");
        assert_eq!(splitter.next().unwrap(), None);
        splitter.push(b"data: b\n");
        assert_eq!(splitter.next().unwrap(), None);
        assert_eq!(splitter.finish(), None, "an event without its end is none");
    }

    #[test]
    fn lines_of_json_end_with_lf_and_the_last_needs_no_end() {
        let text = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"b\":\"\\r\"}\n{\"c\":3}";
        assert_eq!(
            split(Framing::Ndjson, &[text]),
            data(&["{\"a\":1}", "{\"b\":\"\\r\"}", "{\"c\":3}"])
        );
    }

    #[test]
    fn a_line_or_an_event_that_is_too_long_is_refused_before_its_end_comes() {
        for text in [
            format!("data: {}", "x".repeat(100)),
            format!(": {}\n", "x".repeat(100)),
            "data: 01234567\n".repeat(13),
        ] {
            let mut splitter = Splitter::new(Framing::Sse, 100);
            splitter.push(text.as_bytes());
            assert!(splitter.next().is_err(), "{text}");
        }
        let mut splitter = Splitter::new(Framing::Ndjson, 100);
        for _ in 0..20 {
            splitter.push(b"0123456789");
            if let Err(error) = splitter.next() {
                assert!(splitter.held() <= 110, "{}", splitter.held());
                assert!(error.to_string().contains("100 bytes"), "{error}");
                return;
            }
        }
        panic!("an endless line was taken");
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let pieces: [&[u8]; 13] = [
            b"data",
            b":",
            b" ",
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"event: x",
            b"id: 1",
            "é€😀".as_bytes(),
            b"\xef\xbb\xbf",
            b"\xe2\x82",
            b"\xff",
        ];
        let piece = prop::sample::select(pieces.to_vec());
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    fn cut(bytes: &[u8], cuts: Vec<prop::sample::Index>) -> Vec<&[u8]> {
        let mut places: Vec<usize> = cuts.into_iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_events_of_the_specification(bytes in pieces(), cuts in any::<Vec<prop::sample::Index>>()) {
            prop_assert_eq!(split(Framing::Sse, &cut(&bytes, cuts)), specified(&bytes));
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(split(Framing::Sse, &single), specified(&bytes));
        }

        #[test]
        fn any_pieces_give_the_same_lines_of_json(bytes in pieces(), cuts in any::<Vec<prop::sample::Index>>()) {
            let whole = split(Framing::Ndjson, &[&bytes]);
            prop_assert_eq!(split(Framing::Ndjson, &cut(&bytes, cuts)), whole);
        }
    }
}
