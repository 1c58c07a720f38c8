//! Reading the results of a run, page by page and ahead of whoever folds them: while one page is folded, the next ones are
//! fetched and parsed by tasks of their own.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use testfleet_model::RunId;
use testfleet_model::summary::{ResultDigest, ResultLabels};
use testfleet_store::{Store, StoreError};
use tokio::task::JoinHandle;

use crate::collection::CollectError;

/// Results read at once, at most.
const PAGE: u32 = 500;
/// Bytes of results that are worth one read.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that one read may never exceed, whatever the sizes of those before it. Some of them are there at a time.
const MOST_PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Pages that are read before they are asked for.
const AHEAD: usize = 2;

/// What is read of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// What a summary takes.
    Digest,
    /// The same, and which test it is.
    DigestAndLabels,
}

/// A stored result, and what was read of it.
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Result<ResultDigest, serde_json::Error>,
    /// `None` when they were not asked for, or cannot be read.
    pub(crate) labels: Option<ResultLabels>,
}

impl Stored {
    fn parse(bytes: Vec<u8>, read: Read) -> Self {
        let labels = match read {
            Read::Digest => None,
            // A second pass over the text costs those who need it less than owned texts would cost everybody.
            Read::DigestAndLabels => serde_json::from_slice(&bytes).ok(),
        };
        Self {
            digest: serde_json::from_slice(&bytes),
            labels,
            bytes,
        }
    }
}

/// Consecutive results; `None` where there is none.
pub(crate) type Page = Vec<Option<Stored>>;

/// The results of a run, from the first to the last.
pub(crate) struct Reader<'a> {
    store: &'a Store,
    run: RunId,
    total: u32,
    /// The first test that nobody reads yet.
    next: u32,
    read: Read,
    paging: Paging,
    ahead: VecDeque<(u32, Reading)>,
}

impl<'a> Reader<'a> {
    /// `attempt`: how often the collection was begun, from 1; `max_result`: the largest result that is stored, in bytes.
    pub(crate) fn new(store: &'a Store, run: RunId, total: u32, attempt: u32, max_result: usize, read: Read) -> Self {
        Self {
            store,
            run,
            total,
            next: 0,
            read,
            paging: Paging::new(attempt, max_result),
            ahead: VecDeque::new(),
        }
    }

    /// The next page and the test it begins with; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<(u32, Page)>, CollectError> {
        self.read_ahead();
        let Some((first, reading)) = self.ahead.pop_front() else {
            return Ok(None);
        };
        let page = reading.await?;
        self.paging.learn(&page);
        self.read_ahead();
        Ok(Some((first, page)))
    }

    /// What is stored of a page by now.
    pub(crate) async fn again(&self, first: u32, count: usize) -> Result<Page, CollectError> {
        self.read(first, u32::try_from(count).unwrap_or(u32::MAX)).await
    }

    fn read_ahead(&mut self) {
        while self.ahead.len() < AHEAD && self.next < self.total {
            let count = self.paging.size().min(self.total - self.next);
            self.ahead.push_back((self.next, self.read(self.next, count)));
            self.next += count;
        }
    }

    fn read(&self, first: u32, count: u32) -> Reading {
        let (store, run, read) = (self.store.clone(), self.run, self.read);
        Reading(tokio::spawn(async move {
            let stored = store.results(run, first, count).await?;
            let parse = |bytes: Option<Vec<u8>>| bytes.map(|bytes| Stored::parse(bytes, read));
            Ok(stored.into_iter().map(parse).collect())
        }))
    }
}

/// A page that is being read; given up when it is dropped.
struct Reading(JoinHandle<Result<Page, StoreError>>);

impl Future for Reading {
    type Output = Result<Page, CollectError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|read| match read {
            Ok(page) => page.map_err(CollectError::from),
            Err(lost) => Err(CollectError::Reading(lost)),
        })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How many results to read at once: by the size of those read so far, and fewer after a failed collection.
struct Paging {
    most: u32,
    size: u32,
}

impl Paging {
    fn new(attempt: u32, max_result: usize) -> Self {
        let fit = u32::try_from(MOST_PAGE_BYTES / max_result.max(1)).unwrap_or(u32::MAX);
        let most = (PAGE.min(fit) >> attempt.saturating_sub(1).min(31)).max(1);
        Self {
            most,
            size: most.min(64),
        }
    }

    fn size(&self) -> u32 {
        self.size
    }

    fn learn(&mut self, page: &[Option<Stored>]) {
        let largest = page
            .iter()
            .flatten()
            .map(|stored| stored.bytes.len())
            .max()
            .unwrap_or(0)
            .max(1);
        let fit = u32::try_from(PAGE_BYTES / largest).unwrap_or(u32::MAX);
        self.size = fit.clamp(1, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(bytes: Vec<u8>) -> Stored {
        Stored::parse(bytes, Read::Digest)
    }

    /// BOUNDED-MEMORY: also when small results are followed by the largest that may be stored.
    #[test]
    fn no_page_is_larger_than_the_bound_or_one_result() {
        for max_result in [1 << 10, 256 << 10, 16 << 20] {
            for attempt in [1, 3, 40] {
                let mut paging = Paging::new(attempt, max_result);
                for read in [None, Some(vec![0; 10]), Some(vec![0; 10_000])] {
                    let bytes = paging.size() as usize * max_result;
                    assert!(bytes <= MOST_PAGE_BYTES.max(max_result), "{bytes}");
                    paging.learn(&[read.map(stored)]);
                }
            }
        }
        let mut paging = Paging::new(1, 256 << 10);
        paging.learn(&[Some(stored(vec![0; 10]))]);
        assert_eq!(paging.size(), 32);
    }
}
