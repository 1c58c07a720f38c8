//! `run why`: why a test, or a run, is not running.

use std::fmt::Write as _;

use clap::Args;
use serde::{Deserialize, Serialize};
use testfleet_model::{ExitCode, RunId};
use testfleet_report::visible::one_line;
use testfleet_store::{Reason, Store, Why};

use crate::command::suggestion::nearest;
use crate::exit::Failure;
use crate::reporting::RESULTS_PAGE;
use crate::session::Session;
use crate::waiting;

mod sentence;

/// The longest sentence, in characters.
const MAX_SENTENCE: usize = 1_000;

/// `run why`
#[derive(Args, Clone, Debug)]
pub struct WhyArguments {
    /// The id of the run
    #[arg(value_name = "RUN")]
    run: RunId,
    /// One of its tests, by index or id; without it, why no further test of the run begins
    #[arg(value_name = "TEST")]
    test: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    why: Why,
    test_id: Option<String>,
    /// What people call the worker that has the test.
    worker_name: Option<String>,
}

/// Says what stands in the way, the first first.
///
/// # Errors
/// When there is no such run or test, or the store does not answer.
pub async fn execute(arguments: WhyArguments, session: &Session) -> Result<ExitCode, Failure> {
    let (store, run) = (session.fleet_view().await?, arguments.run);
    let view = store.run_view(run).await?.ok_or_else(|| waiting::unknown(run))?;
    let index = match &arguments.test {
        Some(test) => Some(find(&store, run, view.total, test).await?),
        None => None,
    };
    let why = store.why(run, index).await?.ok_or_else(|| waiting::unknown(run))?;
    let test_id = match index {
        Some(index) => ids(&store, run, &[index]).await?.pop().flatten(),
        None => None,
    };
    let worker_name = match why.reasons.first() {
        Some(Reason::Running { worker, .. }) => {
            let workers = store.worker_views().await?;
            workers
                .into_iter()
                .find(|view| view.worker == *worker)
                .map(|view| view.name)
        }
        _ => None,
    };
    let answer = Answer {
        why,
        test_id,
        worker_name,
    };
    if session.output.json {
        session.output.json(&answer)?;
    } else {
        session.output.text(&text(&answer))?;
    }
    Ok(ExitCode::Passed)
}

fn text(answer: &Answer) -> String {
    let why = &answer.why;
    let subject = match (why.index, &answer.test_id) {
        (None, _) => "run".to_owned(),
        (Some(index), None) => format!("test {index}"),
        (Some(index), Some(id)) => format!("test {index} ({id})"),
    };
    let mut lines: Vec<String> = why
        .reasons
        .iter()
        .map(|reason| sentence::of(reason, why, answer.worker_name.as_deref()))
        .enumerate()
        .map(|(at, sentence)| {
            if at == 0 {
                one_line(&format!("{subject}: {sentence}"), MAX_SENTENCE)
            } else {
                format!("  also: {}", one_line(&sentence, MAX_SENTENCE))
            }
        })
        .collect();
    let mut counts = format!(
        "{} of {} tests of the run are done, {} in flight",
        why.done, why.total, why.in_flight
    );
    // Of a run that is over nothing is given out any more.
    if why.done < why.total {
        let _ = write!(counts, ", {} could be given out", why.pending);
    }
    lines.push(format!("  ({counts})"));
    lines.join("\n") + "\n"
}

#[derive(Deserialize)]
struct Test {
    id: String,
}

#[derive(Deserialize)]
struct Outcome {
    test_id: String,
}

/// The ids of these tests: from what is staged, or from their results; `None` where neither says it.
async fn ids(store: &Store, run: RunId, indices: &[u32]) -> Result<Vec<Option<String>>, Failure> {
    let staged = store.tests(run, indices).await?;
    let mut ids = Vec::with_capacity(indices.len());
    let missing = staged.iter().any(Option::is_none);
    let first = indices.first().copied().unwrap_or(0);
    let results = if missing {
        store
            .results(run, first, u32::try_from(indices.len()).unwrap_or(0))
            .await?
    } else {
        Vec::new()
    };
    for (at, test) in staged.into_iter().enumerate() {
        let of_test = test
            .and_then(|test| serde_json::from_slice::<Test>(&test).ok())
            .map(|test| test.id);
        let of_result = || {
            let result = results.get(at)?.as_deref()?;
            Some(serde_json::from_slice::<Outcome>(result).ok()?.test_id)
        };
        ids.push(of_test.or_else(of_result));
    }
    Ok(ids)
}

/// The index of a test that is named by it or by its id. Ids are looked up page by page.
pub(crate) async fn find(store: &Store, run: RunId, total: u32, test: &str) -> Result<u32, Failure> {
    if let Some(index) = test.parse().ok().filter(|index| *index < total) {
        return Ok(index);
    }
    let mut near: Option<String> = None;
    let mut first = 0;
    while first < total {
        let page: Vec<u32> = (first..total.min(first.saturating_add(RESULTS_PAGE))).collect();
        let found = ids(store, run, &page).await?;
        if let Some(at) = found.iter().position(|id| id.as_deref() == Some(test)) {
            return Ok(page[at]);
        }
        near = nearest(
            test,
            near.as_deref()
                .into_iter()
                .chain(found.iter().flatten().map(String::as_str)),
        )
        .map(ToOwned::to_owned);
        first = first.saturating_add(RESULTS_PAGE);
    }
    let hint = near.map_or_else(
        || format!("its tests are 0 to {}", total.saturating_sub(1)),
        |near| format!("did you mean {near:?}?"),
    );
    Err(Failure::usage(format!("run {run} has no test {test:?}; {hint}")))
}
