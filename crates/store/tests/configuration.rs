//! `put_config.lua` and `remove_config.lua`.

use serde_json::json;
use testfleet_store::Put;

use crate::support::Bench;

async fn put(bench: &Bench, document: &str, expected: Option<u64>) -> Put {
    let put = bench
        .store
        .put_config("suite", document, expected, "Suite", "Parallel")
        .await;
    put.unwrap()
}

#[tokio::test]
async fn another_version_than_expected_is_refused() {
    let bench = Bench::start().await;
    assert_eq!(put(&bench, "a", Some(1)).await, Put::Changed { version: 0 });
    assert_eq!(bench.look().await, json!({}));
    put(&bench, "a", None).await;
    let before = bench.look().await;
    for expected in [0, 2] {
        assert_eq!(put(&bench, "b", Some(expected)).await, Put::Changed { version: 1 });
    }
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_document_is_stored_with_the_next_version() {
    let bench = Bench::start().await;
    assert_eq!(put(&bench, "a", Some(0)).await, Put::Stored { version: 1 });
    assert_eq!(
        bench.look().await,
        json!({
            "config:suite": {"document": "a", "mode": "Parallel", "name": "Suite", "updated_at": "T", "version": "1"},
            "configs": {"zset": [["suite", "T"]]},
        })
    );
    assert_eq!(put(&bench, "b", Some(1)).await, Put::Stored { version: 2 });
    assert_eq!(put(&bench, "c", None).await, Put::Stored { version: 3 });
    let stored = bench.store.stored_config("suite").await.unwrap().unwrap();
    assert_eq!((stored.version, stored.document.as_str()), (3, "c"));
}

#[tokio::test]
async fn of_two_who_read_the_same_version_one_wins() {
    let bench = Bench::start().await;
    put(&bench, "a", None).await;
    let (one, two) = tokio::join!(put(&bench, "one", Some(1)), put(&bench, "two", Some(1)));
    let stored = Put::Stored { version: 2 };
    let changed = Put::Changed { version: 2 };
    assert!([(stored, changed), (changed, stored)].contains(&(one, two)));
}

#[tokio::test]
async fn removing_takes_all_of_it_and_what_is_not_there_is_said() {
    let bench = Bench::start().await;
    assert!(!bench.store.remove_config("suite").await.unwrap());
    put(&bench, "a", None).await;
    assert!(bench.store.remove_config("suite").await.unwrap());
    assert_eq!(bench.look().await, json!({}));
    assert!(!bench.store.remove_config("suite").await.unwrap());
    assert_eq!(bench.store.stored_config("suite").await.unwrap(), None);
    assert_eq!(bench.store.stored_configs().await.unwrap(), []);
}
