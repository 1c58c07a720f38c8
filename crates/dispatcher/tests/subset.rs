//! Runs of selected tests.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::convert::Infallible;

use serde_json::json;
use support::{
    configuration, impatient, keyed, limits, run_id, run_to_its_end, store, stream, submission, test, tests,
};
use testfleet_dispatcher::{
    DispatchError, DispatchOptions, Dispatched, Narrowing, Refusal, StoreRetry, StoredSubmission, Subset, choose_tests,
    dispatch, dispatch_stored, dispatch_with, put_configuration, survey, survey_subset,
};
use testfleet_model::configuration::{TestCase, TestFilter};
use testfleet_model::{RunId, Status, TestConfiguration};
use testfleet_store::Store;
use testfleet_testkit::TestRedis;

fn filters(texts: &[&str]) -> Vec<TestFilter> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn narrowed(only: &[&str], skip: &[&str]) -> TestConfiguration {
    let mut configuration = configuration();
    configuration.attributes.only = filters(only);
    configuration.attributes.skip = filters(skip);
    configuration
}

async fn ids(store: &Store, run: RunId, total: u32) -> Vec<String> {
    let indices: Vec<u32> = (0..total).collect();
    let stored = store.tests(run, &indices).await.unwrap();
    stored
        .iter()
        .map(|payload| TestCase::from_stored(payload.as_deref().unwrap()).unwrap().id)
        .collect()
}

async fn refused(store: &Store, configuration: &TestConfiguration, tests: &[TestCase]) -> Refusal {
    let mut configuration = configuration.clone();
    configuration.test_set.tests = tests.to_vec();
    match dispatch(store, submission(run_id(9), &configuration), stream(tests)).await {
        Err(DispatchError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// A run of `count` tests that has ended; tests may be of more than one page.
async fn ended(store: &Store, run: RunId, count: usize, status: impl Fn(&str) -> Status) {
    run_to_its_end(store, run, &tests(count), |id, _| {
        let status = status(id);
        (
            status,
            json!({"test_id": id, "status": status.word()}).to_string().into_bytes(),
        )
    })
    .await;
}

#[tokio::test]
async fn only_selected_tests_are_part_of_the_run_in_the_order_of_the_set() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let all = tests(1_200);
    let mut configuration = narrowed(&["id:t11*", "id:t3"], &["id:t115", "id:t1*7"]);
    configuration.test_set.tests = all.clone();
    let done = dispatch(&store, submission(run_id(1), &configuration), stream(&all))
        .await
        .unwrap();
    let expected: Vec<String> = all
        .iter()
        .map(|test| test.id.clone())
        .filter(|id| id == "t3" || (id.starts_with("t11") && id != "t115" && !id.ends_with('7')))
        .collect();
    assert_eq!(done.total as usize, expected.len());
    assert_eq!(ids(&store, run_id(1), done.total).await, expected);
}

#[tokio::test]
async fn repetitions_and_dependencies_come_with_the_test() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut all = tests(6);
    all[1].depends_on = vec!["t4".to_owned()];
    all[4].repeat = Some(2);
    let mut configuration = narrowed(&["id:t1"], &[]);
    configuration.test_set.tests = all.clone();
    let done = dispatch(&store, submission(run_id(1), &configuration), stream(&all))
        .await
        .unwrap();
    assert_eq!(ids(&store, run_id(1), done.total).await, ["t1", "t4#1", "t4#2"]);
    configuration.attributes.skip = filters(&["id:t4"]);
    let refusal = refused(&store, &configuration, &all).await;
    assert_eq!(
        refusal.to_string(),
        "test \"t1\" depends on \"t4\", which attributes.skip leaves out; leave \"t1\" out as well, or neither"
    );
    assert!(
        store.run_view(run_id(9)).await.unwrap().is_none(),
        "nothing is left of it"
    );
}

#[tokio::test]
async fn filters_that_select_nothing_are_refused() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let all = tests(3);
    let nothing = refused(&store, &narrowed(&["id:x*"], &[]), &all).await;
    assert_eq!(
        nothing.to_string(),
        "no test is selected by attributes.only and attributes.skip; no test of the set fits id:x*"
    );
    let unmatched = refused(&store, &narrowed(&["id:t1", "tag:area=*"], &["id:t9"]), &all).await;
    assert_eq!(
        unmatched.to_string(),
        "no test of the set fits tag:area=*, id:t9; an id or a tag is written differently"
    );
}

/// Tests of more than one page of results.
#[tokio::test]
async fn tests_are_selected_by_what_became_of_them_in_another_run() {
    let redis = TestRedis::start();
    let store = store(&redis);
    ended(&store, run_id(1), 1_100, |id| match id {
        "t7" | "t1050" => Status::Fail,
        "t600" => Status::Error,
        _ => Status::Pass,
    })
    .await;
    let all = tests(1_102);
    for (number, only, skip, expected) in [
        (2, &["status:failed"][..], &[][..], &["t7", "t1050"][..]),
        (3, &["status:failed", "status:error"], &["id:t7"], &["t600", "t1050"]),
        (4, &["status:new"], &[], &["t1100", "t1101"]),
        (5, &[], &["status:passed", "status:new"], &["t7", "t600", "t1050"]),
    ] {
        let mut configuration = narrowed(only, skip);
        configuration.attributes.status_from = Some(run_id(1));
        configuration.test_set.tests = all.clone();
        let run = run_id(number);
        let done = dispatch(&store, submission(run, &configuration), stream(&all))
            .await
            .unwrap();
        assert_eq!(ids(&store, run, done.total).await, expected, "{only:?} {skip:?}");
    }
    let mut none = narrowed(&["status:inconclusive"], &[]);
    none.attributes.status_from = Some(run_id(1));
    let unmatched = Vec::new();
    assert_eq!(
        refused(&store, &none, &all).await,
        Refusal::NothingSelected { unmatched }
    );
}

#[tokio::test]
async fn the_run_that_filters_speak_of_has_to_be_there_and_to_have_ended() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let all = tests(2);
    let open = configuration();
    dispatch(&store, submission(run_id(1), &open), stream(&all))
        .await
        .unwrap();
    let message = |refusal: Refusal| refusal.to_string();
    let mut configuration = narrowed(&["status:failed"], &[]);
    let said = message(refused(&store, &configuration, &all).await);
    assert!(
        said.starts_with("attributes.only[0]: `status:failed` needs a run to look at"),
        "{said}"
    );
    configuration.attributes.status_from = Some(run_id(1));
    let said = message(refused(&store, &configuration, &all).await);
    assert!(
        said.starts_with("attributes.status_from: run 00000000-") && said.contains("has not ended (queued)"),
        "{said}"
    );
    configuration.attributes.status_from = Some(run_id(77));
    let said = message(refused(&store, &configuration, &all).await);
    assert!(
        said.contains("there is no run 00000000-0000-0000-0000-00000000004d"),
        "{said}"
    );
    configuration.attributes.only = filters(&["id:t1"]);
    let said = message(refused(&store, &configuration, &all).await);
    assert!(said.contains("there is none in `only` or `skip`"), "{said}");
}

#[tokio::test]
async fn tests_from_elsewhere_need_their_subset_and_the_digest_of_it() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let all = tests(600);
    let mut configuration = keyed("k", Vec::new());
    configuration.attributes.only = filters(&["id:t59*"]);
    let given = || stream(&all);
    let missing = dispatch_with(&store, submission(run_id(1), &configuration), impatient(), given()).await;
    assert!(
        matches!(missing, Err(DispatchError::Refused(Refusal::SubsetMissing))),
        "{missing:?}"
    );
    let subset: Option<Subset> = choose_tests(&store, &configuration, given(), StoreRetry::default())
        .await
        .unwrap();
    assert_eq!(
        subset.as_ref().map(|subset| (subset.selected(), subset.left_out())),
        Some((11, 589))
    );
    let digest = survey_subset(&configuration, 2_000, subset.as_ref(), given()).unwrap();
    assert_eq!(digest.count(), 11);
    let options = |tests| DispatchOptions {
        tests: Some(tests),
        subset: subset.as_ref(),
        ..impatient()
    };
    let of_all = survey(&configuration, 2_000, given()).unwrap();
    let other = dispatch_with(&store, submission(run_id(1), &configuration), options(of_all), given()).await;
    assert!(
        matches!(other, Err(DispatchError::Refused(Refusal::TestsChanged))),
        "{other:?}"
    );
    configuration.attributes.idempotency_key = Some("k2".to_owned());
    let send = async |run| {
        dispatch_with(
            &store,
            submission(run_id(run), &configuration),
            options(digest),
            given(),
        )
        .await
    };
    let done: Dispatched = send(2).await.unwrap();
    assert_eq!((done.run, done.total, done.existing), (run_id(2), 11, false));
    let again = send(3).await.unwrap();
    assert_eq!((again.run, again.existing), (run_id(2), true));
}

#[tokio::test]
async fn a_stored_configuration_is_narrowed_for_one_run_only() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut configuration = narrowed(&[], &["id:t0"]);
    configuration.test_set.tests = tests(4);
    put_configuration(&store, "nightly", &configuration, None)
        .await
        .unwrap();
    let (only, skip) = (filters(&["id:t*"]), filters(&["id:t2"]));
    let submission = |number, narrowing| StoredSubmission {
        run: run_id(number),
        idempotency_key: None,
        mode: None,
        narrowing,
        limits: limits(),
        retry: StoreRetry::default(),
    };
    let narrowing = Narrowing {
        only: &only,
        skip: &skip,
        ..Narrowing::default()
    };
    let done = dispatch_stored(&store, "nightly", submission(1, narrowing))
        .await
        .unwrap();
    assert_eq!(ids(&store, run_id(1), done.total).await, ["t1", "t3"]);
    let done = dispatch_stored(&store, "nightly", submission(2, Narrowing::default()))
        .await
        .unwrap();
    assert_eq!(ids(&store, run_id(2), done.total).await, ["t1", "t2", "t3"]);
}

/// What cannot be read is told with its place, also when only the choice looks at it.
#[tokio::test]
async fn a_test_that_cannot_be_read_ends_the_choice() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = narrowed(&["id:t0"], &[]);
    let broken = [Ok(test(0)), Err("line 7")];
    let chosen = choose_tests(&store, &configuration, broken, StoreRetry::default()).await;
    assert!(
        matches!(chosen, Err(DispatchError::Tests { index: 1, .. })),
        "{chosen:?}"
    );
    let none: [Result<TestCase, Infallible>; 0] = [];
    let chosen = choose_tests(&store, &support::configuration(), none, StoreRetry::default()).await;
    assert_eq!(chosen.unwrap(), None, "without filters nobody looks");
}
