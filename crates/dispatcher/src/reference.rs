//! `attributes.reference_test_run_id`: what an earlier run has of each test is stored with the test, so that the run needs
//! neither the endpoint nor the earlier run.
//!
//! Tests are matched by id, repetitions by theirs (`<id>#1`). The earlier run is read twice: once for the ids of its results,
//! once, while tests are stored, for the results of those tests.

use std::collections::HashMap;

use testfleet_model::TestResult;
use testfleet_model::recorded::{Recorded, RecordedAnswer, with_recorded};
use testfleet_store::Store;

use crate::error::DispatchError;
use crate::intake::fingerprint;
use crate::past::PastRun;
use crate::store_retry::StoreRetry;

/// Results read, and tests stored, at once: each result may be as large as `limits.max_result_bytes`.
pub(crate) const PAGE: usize = 32;

/// An earlier run whose outputs are evaluated again.
#[derive(Debug)]
pub(crate) struct Reference {
    past: PastRun,
    /// Fingerprint of a test's id → its index there.
    places: HashMap<u64, u32>,
}

impl Reference {
    /// Reads which tests the run has.
    pub(crate) async fn read(store: &Store, past: PastRun, retry: StoreRetry) -> Result<Self, DispatchError> {
        let places = past.places(store, retry).await?;
        Ok(Self { past, places })
    }

    /// Adds what the run has of these tests to their stored form. `ids`: of the tests, in the same order; at most [`PAGE`].
    pub(crate) async fn attach(
        &self,
        store: &Store,
        ids: &[String],
        payloads: &[Vec<u8>],
        retry: StoreRetry,
    ) -> Result<Vec<Vec<u8>>, DispatchError> {
        let run = self.past.run;
        let known: Vec<Option<u32>> = ids
            .iter()
            .map(|id| self.places.get(&fingerprint(id)).copied())
            .collect();
        let asked: Vec<u32> = known.iter().flatten().copied().collect();
        let mut found = retry.persist(run, || store.results_of(run, &asked)).await?.into_iter();
        let tests = ids.iter().zip(known).zip(payloads);
        let attached = tests.map(|((id, place), payload)| {
            let stored = place.and_then(|_| found.next()).flatten();
            let answer = answer(id, place.is_some(), stored.as_deref());
            Ok(with_recorded(payload.clone(), &Recorded { run, answer })?)
        });
        attached.collect()
    }
}

fn answer(id: &str, is_known: bool, stored: Option<&[u8]>) -> RecordedAnswer {
    let Some(stored) = stored else {
        let why = if is_known {
            "lost its result meanwhile"
        } else {
            "is not one of its tests"
        };
        return RecordedAnswer::Unusable(why.to_owned());
    };
    match serde_json::from_slice::<TestResult>(stored) {
        // Ids are found by their fingerprints.
        Ok(result) if result.test_id != id => RecordedAnswer::Unusable("is not one of its tests".to_owned()),
        Ok(result) => result.into(),
        Err(error) => RecordedAnswer::Unusable(format!("has a result that cannot be read: {error}")),
    }
}
