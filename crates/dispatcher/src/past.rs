//! Another run that a submission refers to: whether it can be, and what its results are called.

use std::collections::HashMap;

use serde::Deserialize;
use testfleet_model::configuration::{PastStatuses, Repetition};
use testfleet_model::{RunId, Status};
use testfleet_store::Store;

use crate::error::{DispatchError, Refusal};
use crate::intake::fingerprint;
use crate::store_retry::StoreRetry;

/// Results read at once.
const PAGE: u32 = 500;

/// A run that has ended, in which tests are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PastRun {
    pub(crate) run: RunId,
    pub(crate) total: u32,
}

/// Of a stored result, what tests are looked up by.
#[derive(Deserialize)]
struct Named {
    test_id: String,
    status: Status,
    #[serde(default)]
    repetition: Option<Repetition>,
}

impl PastRun {
    /// The run, which has to have ended. `key`: the attribute that names it.
    pub(crate) async fn of(
        store: &Store,
        run: RunId,
        key: &'static str,
        retry: StoreRetry,
    ) -> Result<Self, DispatchError> {
        let refuse = |message: String| Refusal::Attributes {
            key: format!("attributes.{key}"),
            message,
        };
        let view = retry.persist(run, || store.run_view(run)).await?;
        let view = view.ok_or_else(|| refuse(format!("there is no run {run} (any more) in this store")))?;
        if !view.state.is_terminal() {
            let message = format!("run {run} has not ended ({}); wait for its end", view.state);
            return Err(refuse(message).into());
        }
        if view.total == 0 {
            let message = format!("run {run} ended before all of its tests were stored, so it has no results");
            return Err(refuse(message).into());
        }
        Ok(Self { run, total: view.total })
    }

    /// What became of each test, by the fingerprint of its id; repetitions are put together under the id of their test.
    pub(crate) async fn statuses(
        self,
        store: &Store,
        retry: StoreRetry,
    ) -> Result<HashMap<u64, PastStatuses>, DispatchError> {
        let mut statuses: HashMap<u64, PastStatuses> = HashMap::new();
        self.each(store, retry, |_, named| {
            let id = named
                .repetition
                .as_ref()
                .map_or(&named.test_id, |repetition| &repetition.test);
            let known = statuses.entry(fingerprint(id)).or_default();
            *known = known.with(named.status);
        })
        .await?;
        Ok(statuses)
    }

    /// The place of each test, by the fingerprint of its id; repetitions by their own.
    pub(crate) async fn places(self, store: &Store, retry: StoreRetry) -> Result<HashMap<u64, u32>, DispatchError> {
        let mut places = HashMap::new();
        self.each(store, retry, |index, named| {
            places.entry(fingerprint(&named.test_id)).or_insert(index);
        })
        .await?;
        Ok(places)
    }

    /// Looks at every result, in order of their places. What cannot be read is passed over: nothing is known of it.
    async fn each(
        self,
        store: &Store,
        retry: StoreRetry,
        mut look: impl FnMut(u32, Named),
    ) -> Result<(), DispatchError> {
        let mut first = 0;
        while first < self.total {
            let count = PAGE.min(self.total - first);
            let page = retry
                .persist(self.run, || store.results(self.run, first, count))
                .await?;
            for (index, stored) in (first..).zip(page) {
                if let Some(Ok(named)) = stored.as_deref().map(serde_json::from_slice) {
                    look(index, named);
                }
            }
            first += count;
        }
        Ok(())
    }
}
