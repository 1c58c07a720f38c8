//! How much memory the answers of endpoints may take in one process, over all calls at once.
//!
//! A call reads the beginning of an answer without asking. Before it reads on it takes permission for all that it may have
//! to read, and before a read answer is parsed for what parsing, mapping and evaluating may take. Each is taken once, in
//! this order and from a store of its own, and whoever has the second waits for nothing more; so calls cannot wait for
//! each other in a circle. A stream holds the first only for what it keeps, takes the second for one event that needs it, and
//! gives that back before it reads on. Permissions are given in the order in which they were asked for.
//!
//! What this does not cover: the beginnings, what a connection reads ahead, and results once they are made. All of them are
//! bounded per call.
//!
//! Promises: BOUNDED-MEMORY.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::info;

/// What is read of an answer without permission, in bytes.
pub(crate) const FREE_READING: usize = 64 * 1024;
/// What needs no permission to be worked on, in bytes: a text that needed none to be read does not need one here. No more of
/// these are in work than the runtime has threads, since nobody waits in the middle of it.
const FREE_WORK: usize = 6 * FREE_READING;
/// Of the whole, one part of so many is for bodies that are read; the others are for what is made of them.
const READING_SHARE: u64 = 4;
/// What one permit stands for, in bytes.
const UNIT: usize = 1024;

/// The memory for answers of one process. Share it by cloning.
#[derive(Clone, Debug)]
pub struct AnswerMemory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reading: Pool,
    work: Pool,
    waiting: AtomicUsize,
    /// Whether it was said that answers wait.
    said: AtomicBool,
}

#[derive(Debug)]
struct Pool {
    permits: Arc<Semaphore>,
    size: u32,
}

/// What is taken of an [`AnswerMemory`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerUse {
    /// Bytes that calls may read, with what is put aside for the next that waits.
    pub reading: usize,
    /// Bytes that calls may make of what they have read, likewise.
    pub work: usize,
    /// Calls that wait for permission.
    pub waiting: usize,
}

/// What one call has of the memory for answers. Dropping it gives everything back; keep it until the answer and all that
/// was made of it are gone.
#[derive(Debug, Default)]
pub struct AnswerShare {
    /// `None`: permission is not needed.
    memory: Option<AnswerMemory>,
    reading: Option<OwnedSemaphorePermit>,
    work: Option<OwnedSemaphorePermit>,
    waits: bool,
}

/// What is to be made of an answer needs more than there is for all answers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "to work on the response may take {needed} bytes, more than the {most} that answers may take in this process (limits.answer_memory)"
)]
pub(crate) struct TooHeavy {
    needed: usize,
    most: usize,
}

impl AnswerMemory {
    /// Memory of so many bytes. The largest body that may be read should fit eight times.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let reading = bytes / READING_SHARE;
        Self {
            inner: Arc::new(Inner {
                reading: Pool::new(reading),
                work: Pool::new(bytes - reading),
                waiting: AtomicUsize::new(0),
                said: AtomicBool::new(false),
            }),
        }
    }

    /// The share of a call that has not begun.
    #[must_use]
    pub fn share(&self) -> AnswerShare {
        AnswerShare {
            memory: Some(self.clone()),
            ..AnswerShare::default()
        }
    }

    /// What is taken now.
    #[must_use]
    pub fn in_use(&self) -> AnswerUse {
        AnswerUse {
            reading: self.inner.reading.taken(),
            work: self.inner.work.taken(),
            waiting: self.inner.waiting.load(Ordering::Acquire),
        }
    }

    async fn take(&self, pool: &Pool, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = pool.units(bytes);
        if let Ok(permit) = Arc::clone(&pool.permits).try_acquire_many_owned(units) {
            return Some(permit);
        }
        if !self.inner.said.swap(true, Ordering::Relaxed) {
            info!(
                "long answers wait for each other, which is said once; limits.answer_memory is how much they may take together"
            );
        }
        let _waiting = Waiting::begin(&self.inner.waiting);
        // Never closed, so this cannot fail.
        Arc::clone(&pool.permits).acquire_many_owned(units).await.ok()
    }
}

impl Pool {
    fn new(bytes: u64) -> Self {
        let most = u64::from(u32::MAX).min(Semaphore::MAX_PERMITS as u64);
        let size = u32::try_from((bytes / UNIT as u64).clamp(1, most)).unwrap_or(u32::MAX);
        Self {
            permits: Arc::new(Semaphore::new(size as usize)),
            size,
        }
    }

    /// One call never asks for more than there is.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.size)
    }

    fn bytes(&self) -> usize {
        self.size as usize * UNIT
    }

    fn taken(&self) -> usize {
        (self.size as usize).saturating_sub(self.permits.available_permits()) * UNIT
    }
}

impl AnswerShare {
    /// Whether its call waits for permission; of a call that was given up, whether it did so then. That is no time the endpoint
    /// took.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// Whether the call waits for something that is not the endpoint's to give: its access token.
    pub(crate) fn wait_elsewhere(&mut self, waits: bool) {
        self.waits = waits;
    }

    /// Waits until a body of `bytes` may be read. To be asked once.
    pub(crate) async fn read(&mut self, bytes: usize) {
        if let Some(memory) = &self.memory
            && bytes > FREE_READING
        {
            self.waits = true;
            self.reading = memory.take(&memory.inner.reading, bytes).await;
            self.waits = false;
        }
    }

    /// Gives back what [`Self::work`] got: an event of a stream has been worked on, and more are read.
    pub(crate) fn rest(&mut self) {
        self.work = None;
    }

    /// Waits until what is made of a body may take `bytes`. To be asked once, after [`Self::read`]; again only after
    /// [`Self::rest`], or two calls could wait for each other.
    pub(crate) async fn work(&mut self, bytes: usize) -> Result<(), TooHeavy> {
        let Some(memory) = self.memory.as_ref().filter(|_| bytes > FREE_WORK) else {
            return Ok(());
        };
        let most = memory.inner.work.bytes();
        if bytes > most {
            return Err(TooHeavy { needed: bytes, most });
        }
        self.waits = true;
        self.work = memory.take(&memory.inner.work, bytes).await;
        self.waits = false;
        Ok(())
    }
}

/// Counts one that waits, also when the wait is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[tokio::test]
    async fn what_is_free_is_not_counted() {
        let memory = AnswerMemory::new(16 * MIB as u64);
        let mut share = memory.share();
        share.read(FREE_READING).await;
        share.work(FREE_WORK).await.unwrap();
        let nothing = AnswerUse {
            reading: 0,
            work: 0,
            waiting: 0,
        };
        assert_eq!(memory.in_use(), nothing);
    }

    #[tokio::test]
    async fn a_share_gives_back_what_it_has_when_it_is_dropped() {
        let memory = AnswerMemory::new(16 * MIB as u64);
        let mut share = memory.share();
        share.read(MIB).await;
        share.work(2 * MIB).await.unwrap();
        assert_eq!((memory.in_use().reading, memory.in_use().work), (MIB, 2 * MIB));
        drop(share);
        assert_eq!((memory.in_use().reading, memory.in_use().work), (0, 0));
    }

    #[tokio::test]
    async fn one_that_wants_more_than_there_is_may_read_alone_but_not_work() {
        let memory = AnswerMemory::new(16 * MIB as u64);
        let mut share = memory.share();
        share.read(1 << 40).await;
        assert_eq!(memory.in_use().reading, 4 * MIB);
        let error = share.work(12 * MIB + 1).await.unwrap_err();
        assert!(error.to_string().contains("12582913 bytes"), "{error}");
        assert!(error.to_string().contains("limits.answer_memory"), "{error}");
        share.work(12 * MIB).await.unwrap();
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let memory = AnswerMemory::new(16 * MIB as u64);
        let mut first = memory.share();
        first.read(4 * MIB).await;
        let mut second = memory.share();
        let mut waiting = Box::pin(second.read(MIB));
        assert!(polled_once(waiting.as_mut()).await.is_none());
        assert_eq!(memory.in_use().waiting, 1);
        drop(waiting);
        assert_eq!(memory.in_use().waiting, 0);
        assert!(second.waits() && !first.waits(), "that is what it was given up in");
        drop(first);
        assert_eq!(memory.in_use().reading, 0);
    }

    /// Polls once.
    async fn polled_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = &mut future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
