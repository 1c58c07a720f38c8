//! Streaming a set into the run, chunk by chunk: one is on its way while the next is serialised.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use testfleet_model::configuration::{Attributes, Order, Shape, TestCase};
use testfleet_model::{RunId, RunState};
use testfleet_store::{Staged, Store};

use crate::arranging::Learned;
use crate::error::{DispatchError, Refusal};
use crate::intake::{Intake, TestsDigest};
use crate::reference::{PAGE, Reference};
use crate::store_retry::StoreRetry;

/// Tests in one chunk. 500 pairs of arguments keep the script that stores them well under a millisecond or two.
const CHUNK_TESTS: usize = 500;
/// A chunk is complete when it has this size; so it has at most this and one test more.
const CHUNK_BYTES: usize = 1 << 20;

/// Consecutive tests in their stored form.
pub(crate) struct Chunk {
    first: u32,
    payloads: Vec<Vec<u8>>,
    /// Ids of the tests, when somebody asked for them.
    ids: Vec<String>,
}

/// A set, cut into chunks while it is read.
pub(crate) struct Chunks<'c, I> {
    tests: I,
    attributes: &'c Attributes,
    intake: Intake<'c>,
    expected: Option<TestsDigest>,
    shape: Shape<'c>,
    /// Repetitions of the test that was read last.
    waiting: VecDeque<TestCase>,
    ids: Vec<String>,
    names_tests: bool,
}

impl<'c, I, E> Chunks<'c, I>
where
    I: Iterator<Item = Result<TestCase, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// `expected`: what the set has to be; `None`: whatever it is.
    pub(crate) fn new(tests: I, attributes: &'c Attributes, intake: Intake<'c>, expected: Option<TestsDigest>) -> Self {
        Self {
            tests,
            attributes,
            intake,
            expected,
            shape: Shape::new(attributes),
            waiting: VecDeque::new(),
            ids: Vec::new(),
            names_tests: false,
        }
    }

    /// Whether chunks have the ids of their tests.
    pub(crate) fn name_tests(&mut self, names_tests: bool) {
        self.names_tests = names_tests;
    }

    /// The next test of the run: one of the set, or one of its repetitions.
    fn next_test(&mut self) -> Result<Option<TestCase>, DispatchError> {
        if let Some(test) = self.waiting.pop_front() {
            return Ok(Some(test));
        }
        let index = self.intake.count();
        let Some(test) = self.tests.next() else {
            return Ok(None);
        };
        let test = test.map_err(|source| DispatchError::Tests {
            index,
            source: source.into(),
        })?;
        self.shape.add(&test);
        self.waiting.extend(test.expand(self.attributes));
        Ok(self.waiting.pop_front())
    }

    /// The next chunk; `None` at the end of the set.
    pub(crate) fn next(&mut self) -> Result<Option<Chunk>, DispatchError> {
        let first = self.intake.count();
        let (mut payloads, mut ids) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while payloads.len() < CHUNK_TESTS && bytes < CHUNK_BYTES {
            let index = self.intake.count();
            let Some(mut test) = self.next_test()? else { break };
            // Only what is read from the store counts.
            test.recorded = None;
            test.earlier = None;
            // Noticed here and not at the end: a test too many must never be stored, it would stay in the run.
            if self.expected.is_some_and(|expected| index >= expected.count) {
                return Err(Refusal::TestsChanged.into());
            }
            let payload = self.intake.admit(&test)?;
            bytes += payload.len();
            payloads.push(payload);
            if self.names_tests {
                ids.push(test.id.clone());
            }
            if self.attributes.order == Order::LongestFirst {
                self.ids.push(test.id);
            }
        }
        Ok((!payloads.is_empty()).then_some(Chunk { first, payloads, ids }))
    }

    /// The number of tests and what was learned of them, once there is no further chunk.
    pub(crate) fn finish(self) -> Result<(u32, Learned), DispatchError> {
        let found = self.intake.finish()?;
        if self.expected.is_some_and(|expected| expected != found) {
            return Err(Refusal::TestsChanged.into());
        }
        let shape = self.shape.finish().map_err(|problems| Refusal::Shape { problems })?;
        let learned = Learned { shape, ids: self.ids };
        Ok((found.count, learned))
    }
}

/// How staging came to its end.
pub(crate) enum Ending {
    /// All tests are stored.
    Complete {
        /// Their number.
        total: u32,
        /// What was learned of them.
        learned: Box<Learned>,
    },
    /// The run left `preparing` meanwhile.
    Closed(RunState),
}

/// Stores a set: `chunk` is its first, `chunks` gives the others. `reference`: whose outputs are stored with the tests.
pub(crate) async fn stage<I, E>(
    store: &Store,
    run: RunId,
    chunk: Chunk,
    mut chunks: Chunks<'_, I>,
    staging_timeout: Duration,
    reference: Option<&Reference>,
    retry: StoreRetry,
) -> Result<Ending, DispatchError>
where
    I: Iterator<Item = Result<TestCase, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut current = Some(chunk);
    while let Some(chunk) = current {
        if let Some(reference) = reference {
            let staged = stage_recorded(store, run, &chunk, reference, staging_timeout, retry);
            if let Some(closed) = Box::pin(staged).await? {
                return Ok(Ending::Closed(closed));
            }
            current = chunks.next()?;
            continue;
        }
        let (first, payloads) = (chunk.first, chunk.payloads.as_slice());
        let mut sending = pin!(retry.persist(run, || store.stage(run, first, payloads, staging_timeout)));
        // Polled once, the call is on its way; the yield lets the connection write it where there is one thread only.
        let answered = poll_fn(|context| Poll::Ready(sending.as_mut().poll(context))).await;
        tokio::task::yield_now().await;
        let next = chunks.next()?;
        let staged = match answered {
            Poll::Ready(staged) => staged?,
            Poll::Pending => sending.await?,
        };
        match staged {
            Staged::Staged(_) => current = next,
            Staged::Unknown => return Err(DispatchError::Vanished { run }),
            Staged::Closed(state) => return Ok(Ending::Closed(state)),
        }
    }
    let (total, learned) = chunks.finish()?;
    Ok(Ending::Complete {
        total,
        learned: Box::new(learned),
    })
}

/// Stores a chunk together with what an earlier run has of its tests, a few at once. Answers the state of a run that left
/// `preparing` meanwhile.
async fn stage_recorded(
    store: &Store,
    run: RunId,
    chunk: &Chunk,
    reference: &Reference,
    staging_timeout: Duration,
    retry: StoreRetry,
) -> Result<Option<RunState>, DispatchError> {
    let mut first = chunk.first;
    for (ids, payloads) in chunk.ids.chunks(PAGE).zip(chunk.payloads.chunks(PAGE)) {
        let part = reference.attach(store, ids, payloads, retry).await?;
        match retry
            .persist(run, || store.stage(run, first, &part, staging_timeout))
            .await?
        {
            Staged::Staged(_) => first += u32::try_from(part.len()).unwrap_or(u32::MAX),
            Staged::Unknown => return Err(DispatchError::Vanished { run }),
            Staged::Closed(state) => return Ok(Some(state)),
        }
    }
    Ok(None)
}
