//! Variations of kept inputs, the same ones at every run.

/// What breaks parsers: numbers at the ends of their ranges, signs of the formats, and what ends a line or a header.
const WORDS: [&[u8]; 24] = [
    b"\n",
    b"\r\n",
    b"\0",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"{{ ",
    b" }}",
    b"$",
    b"..",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\xff",
    "é".as_bytes(),
    "\u{202e}".as_bytes(),
    b"\x1b[2J",
    b"hunter2/c@nary+1",
];

pub(crate) struct Mutator<'i> {
    inputs: &'i [Vec<u8>],
    state: u64,
}

impl<'i> Mutator<'i> {
    /// A sequence of its own for every name.
    pub(crate) fn new(name: &str, inputs: &'i [Vec<u8>]) -> Self {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { inputs, state: seed }
    }

    /// One of the inputs, changed in one to four places.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.any();
        for _ in 0..=self.below(3) {
            self.change(&mut input);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let end = (at + self.below(16)).min(input.len());
        match self.below(7) {
            0 => input.truncate(at),
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << (self.state % 8);
                }
            }
            2 => drop(input.drain(at..end)),
            3 => {
                let word = WORDS[self.below(WORDS.len() - 1)];
                input.splice(at..at, word.iter().copied());
            }
            4 => {
                let word = WORDS[self.below(WORDS.len() - 1)];
                input.splice(at..end, word.iter().copied());
            }
            5 => {
                let again = input[at..end].repeat(1 + self.below(8));
                input.splice(at..at, again);
            }
            _ => {
                // The beginning of this one and the end of another.
                let other = self.any();
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }

    fn any(&mut self) -> Vec<u8> {
        let at = self.below(self.inputs.len() - 1);
        self.inputs[at].clone()
    }

    /// A number up to this one, by splitmix64.
    fn below(&mut self, most: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % (most as u64 + 1)) as usize
    }
}
