//! `put_baseline.lua` and `remove_baseline.lua`.

use serde_json::json;
use testfleet_model::{RunId, RunState};
use testfleet_store::{Collected, NewBaseline, PutBaseline};

use crate::support::{Bench, Spec, id};

async fn put(bench: &Bench, name: &str, run: RunId, epoch: u32, document: &str) -> PutBaseline {
    let new = NewBaseline {
        name,
        run,
        epoch,
        document,
        configuration: "Suite",
        tests: 1,
    };
    bench.store.put_baseline(&new).await.unwrap()
}

/// A run that has ended.
async fn ended(bench: &Bench) -> RunId {
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.complete(&seat, &held).await;
    let control = bench.claim_control(&seat).await;
    assert_eq!(
        bench.collect(&seat, run, control.fence, None).await,
        Collected::Committed
    );
    run
}

#[tokio::test]
async fn a_run_that_is_not_there_or_has_not_ended_is_no_baseline() {
    let bench = Bench::start().await;
    assert_eq!(put(&bench, "main", id(1), 1, "{}").await, PutBaseline::Unknown);
    let run = ended(&bench).await;
    let open = RunState::ALL.iter().filter(|state| !state.is_terminal());
    for state in open {
        let () = bench
            .ask(&["HSET", &bench.store.keys().run(run), "state", state.word()])
            .await;
        let before = bench.look().await;
        assert_eq!(
            put(&bench, "main", run, 1, "{}").await,
            PutBaseline::Changed(Some(*state))
        );
        assert_eq!(bench.look().await, before);
    }
}

#[tokio::test]
async fn results_of_an_epoch_before_are_no_baseline() {
    let bench = Bench::start().await;
    let run = ended(&bench).await;
    for (stored, given, is_right) in [("2", 1, false), ("2", 2, true), ("3", 2, false)] {
        let () = bench
            .ask(&["HSET", &bench.store.keys().run(run), "epoch", stored])
            .await;
        let before = bench.look().await;
        let answer = put(&bench, "main", run, given, "{}").await;
        assert_eq!(answer == PutBaseline::Stored, is_right, "{answer:?}");
        assert!(is_right || bench.look().await == before);
    }
}

#[tokio::test]
async fn a_baseline_is_stored_and_listed_and_the_next_of_its_name_replaces_it() {
    let bench = Bench::start().await;
    let run = ended(&bench).await;
    let before = bench.look().await;
    assert_eq!(put(&bench, "main", run, 1, "one").await, PutBaseline::Stored);
    assert_eq!(
        bench.since(&before).await,
        json!({
            "baseline:main": {"configuration": "Suite", "document": "one", "run": run.to_string().replace("00000000-0000-0000-0000-00000000000", "R"), "stored_at": "T", "tests": "1"},
            "baselines": {"zset": [["main", "T"]]},
        })
    );
    assert_eq!(put(&bench, "main", run, 1, "two").await, PutBaseline::Stored);
    let stored = bench.store.baseline("main").await.unwrap().unwrap();
    assert_eq!(
        (stored.document.as_str(), stored.run, stored.tests),
        ("two", run.to_string(), 1)
    );
    let there = [
        bench.store.has_baseline("main").await.unwrap(),
        bench.store.has_baseline("x").await.unwrap(),
    ];
    assert_eq!(there, [true, false]);
    let [listed] = bench.store.baselines().await.unwrap().try_into().unwrap();
    assert_eq!((listed.name.as_str(), listed.document.as_str()), ("main", ""));
}

/// NO-LEAK does not take it: it is there until somebody removes it, however long the run is gone.
#[tokio::test]
async fn a_baseline_outlives_its_run() {
    let bench = Bench::start().await;
    let run = ended(&bench).await;
    put(&bench, "main", run, 1, "one").await;
    for part in ["", ":results", ":summary", ":config"] {
        let () = bench
            .ask(&["DEL", &format!("{}{part}", bench.store.keys().run(run))])
            .await;
    }
    bench.sweep().await;
    assert_eq!(bench.store.baseline("main").await.unwrap().unwrap().document, "one");
    let lasting: i64 = bench.ask(&["TTL", &bench.key("baseline:main")]).await;
    assert_eq!(lasting, -1);
}

#[tokio::test]
async fn removing_takes_all_of_it_and_what_is_not_there_is_said() {
    let bench = Bench::start().await;
    assert!(!bench.store.remove_baseline("main").await.unwrap());
    let run = ended(&bench).await;
    let before = bench.look().await;
    put(&bench, "main", run, 1, "one").await;
    assert!(bench.store.remove_baseline("main").await.unwrap());
    assert_eq!(bench.look().await, before);
    assert!(!bench.store.remove_baseline("main").await.unwrap());
    assert_eq!(bench.store.baseline("main").await.unwrap(), None);
    assert_eq!(bench.store.baselines().await.unwrap(), []);
}

/// What another hand left of a baseline goes with it.
#[tokio::test]
async fn half_of_a_baseline_is_removed_too() {
    let bench = Bench::start().await;
    let run = ended(&bench).await;
    let before = bench.look().await;
    for half in [
        vec!["DEL".to_owned(), bench.key("baseline:main")],
        vec!["ZREM".to_owned(), bench.key("baselines"), "main".to_owned()],
    ] {
        put(&bench, "main", run, 1, "one").await;
        let words: Vec<&str> = half.iter().map(String::as_str).collect();
        let gone: i64 = bench.ask(&words).await;
        assert_eq!(gone, 1);
        assert!(bench.store.remove_baseline("main").await.unwrap());
        assert_eq!(bench.look().await, before);
    }
}

/// A list that something else stands under raises before anything is written.
#[tokio::test]
async fn a_list_of_another_type_leaves_all_as_it_was() {
    let bench = Bench::start().await;
    let run = ended(&bench).await;
    let () = bench.ask(&["SET", &bench.key("baselines"), "a text"]).await;
    let before = bench.look().await;
    let new = NewBaseline {
        name: "main",
        run,
        epoch: 1,
        document: "one",
        configuration: "suite",
        tests: 4,
    };
    assert!(bench.store.put_baseline(&new).await.is_err());
    assert_eq!(bench.look().await, before);
}
