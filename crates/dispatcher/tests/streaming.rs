//! A set of any size passes through two chunks of memory.
#![allow(clippy::unwrap_used)]

mod support;

use std::convert::Infallible;
use std::iter::from_fn;

use deadpool_redis::redis::{Client, Commands};
use support::*;
use testfleet_dispatcher::dispatch;
use testfleet_testkit::TestRedis;

/// A set whose iterator looks into the store whenever it is asked, and panics when it is asked too far ahead.
async fn staged_within(count: usize, input_bytes: usize, most_ahead: usize) {
    let redis = TestRedis::start();
    let (store, configuration) = (store(&redis), configuration());
    let mut connection = Client::open(redis.url()).unwrap().get_connection().unwrap();
    let key = store.keys().run_part(run_id(1), "tests");
    let mut given = 0;
    let tests = from_fn(|| {
        let stored: usize = connection.hlen(&key).unwrap();
        assert!(
            given - stored <= most_ahead,
            "asked for test {given} when {stored} were stored"
        );
        let mut next = test(given);
        next.input = Some("x".repeat(input_bytes));
        given += 1;
        (given <= count).then_some(Ok::<_, Infallible>(next))
    });
    let mut submission = submission(run_id(1), &configuration);
    submission.limits.max_test_bytes = 1 << 20;
    let done = dispatch(&store, submission, tests).await.unwrap();
    assert_eq!(done.total as usize, count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_two_chunks_of_tests_are_taken_ahead() {
    staged_within(2_750, 10, 1_000).await;
}

#[tokio::test]
async fn it_is_the_same_on_one_thread() {
    staged_within(1_700, 10, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tests_make_small_chunks() {
    // Four tests of 300 kB make a chunk of more than 1 MiB.
    staged_within(21, 300_000, 8).await;
}

/// F86: `TESTFLEET_TEST_SET_SIZE` makes it larger or smaller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_tests_are_staged_and_activated() {
    let size = std::env::var("TESTFLEET_TEST_SET_SIZE");
    let size: usize = size.map_or(100_000, |size| size.parse().unwrap());
    let redis = TestRedis::start();
    let (store, configuration) = (store(&redis), configuration());
    let tests = (0..size).map(|index| Ok::<_, Infallible>(test(index)));
    let done = dispatch(&store, submission(run_id(1), &configuration), tests)
        .await
        .unwrap();
    assert_eq!(done.total as usize, size);
    let last = u32::try_from(size).unwrap() - 1;
    let found = store.tests(run_id(1), &[0, last, last + 1]).await.unwrap();
    assert_eq!(
        found.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, true, false]
    );
}
