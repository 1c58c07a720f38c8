//! Small collections of fixed size, so that a state is a plain value that is cheap to copy and to hash.

use std::fmt;

/// How many tests a run of the model can have.
pub const TESTS: usize = 3;

/// A set of numbers below 8.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set(u8);

impl Set {
    /// The numbers below `end`.
    #[must_use]
    pub fn below(end: u8) -> Self {
        (0..end).collect()
    }

    /// Whether it has the number.
    #[must_use]
    pub fn contains(self, number: u8) -> bool {
        self.0 & (1 << number) != 0
    }

    /// Adds the number.
    pub fn insert(&mut self, number: u8) {
        self.0 |= 1 << number;
    }

    /// Takes the number out; answers whether it was there.
    pub fn remove(&mut self, number: u8) -> bool {
        let there = self.contains(number);
        self.0 &= !(1 << number);
        there
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> u8 {
        u8::try_from(self.0.count_ones()).unwrap_or(u8::MAX)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers in order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |number| self.contains(*number))
    }
}

impl FromIterator<u8> for Set {
    fn from_iter<I: IntoIterator<Item = u8>>(numbers: I) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

/// A list of tests: the run's `again`. One place more than there are tests, so that a test that is listed twice shows.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    items: [u8; TESTS + 1],
    len: u8,
}

impl Line {
    /// The tests in order.
    #[must_use]
    pub fn items(&self) -> &[u8] {
        &self.items[..usize::from(self.len)]
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// In front of the others.
    pub fn push_front(&mut self, test: u8) {
        let len = usize::from(self.len);
        if len <= TESTS {
            self.items.copy_within(0..len, 1);
            self.items[0] = test;
            self.len += 1;
        }
    }

    /// Behind the others.
    pub fn push_back(&mut self, test: u8) {
        let len = usize::from(self.len);
        if len <= TESTS {
            self.items[len] = test;
            self.len += 1;
        }
    }

    /// In front of the first that has a higher number.
    pub fn insert_sorted(&mut self, test: u8) {
        let len = usize::from(self.len);
        let at = self.items().iter().position(|waiting| *waiting > test).unwrap_or(len);
        if len <= TESTS {
            self.items.copy_within(at..len, at + 1);
            self.items[at] = test;
            self.len += 1;
        }
    }

    /// Takes the first one.
    pub fn pop_front(&mut self) -> Option<u8> {
        let first = *self.items().first()?;
        self.items.copy_within(1.., 0);
        self.items[TESTS] = 0;
        self.len -= 1;
        Some(first)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.items()).finish()
    }
}
