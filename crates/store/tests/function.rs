//! What transitions leave behind in the server, and what they never use.

use crate::support::{Bench, Spec};

async fn cached(bench: &Bench) -> usize {
    let info: String = bench.ask(&["INFO", "memory"]).await;
    let line = info.lines().find_map(|line| line.strip_prefix("number_of_functions:"));
    line.expect("the server counts its functions").trim().parse().unwrap()
}

async fn a_whole_run(bench: &Bench, id: u128) {
    let seat = bench.seat(&format!("w{id}")).await;
    let run = bench.run(Spec::parallel(id, 40)).await;
    loop {
        let tests = bench.claim(&seat, 7).await;
        if tests.is_empty() {
            break;
        }
        bench.complete(&seat, &tests).await;
    }
    let collection = bench.claim_control(&seat).await;
    bench.collect(&seat, run, collection.fence, None).await;
    bench.reap().await;
    bench.sweep().await;
}

/// F58: transitions are fixed texts, so the second run, of other ids and sizes, adds none.
#[tokio::test]
async fn the_server_keeps_as_many_functions_as_there_are_transitions() {
    let bench = Bench::start().await;
    a_whole_run(&bench, 1).await;
    let first = cached(&bench).await;
    assert!((1..=testfleet_store::script::all().len()).contains(&first), "{first}");
    for id in 2..6 {
        a_whole_run(&bench, id).await;
    }
    assert_eq!(cached(&bench).await, first);
}

/// F59: a script is a transaction by itself, and what has to be done once is recorded as done, not locked.
#[test]
fn nothing_is_watched_and_nothing_is_locked() {
    for script in testfleet_store::script::all() {
        for line in script.code().lines() {
            let locks = line.contains("SETNX'") && !line.contains("HSETNX'");
            let takes = line.contains("'SET'") && line.contains("'NX'");
            assert!(!locks && !takes, "{}: {line}", script.name());
            assert!(!line.contains("WATCH"), "{}: {line}", script.name());
        }
    }
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(sources).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(code) = std::fs::read_to_string(&path) {
            assert!(
                !code.contains("\"WATCH\"") && !code.contains("\"SETNX\""),
                "{}",
                path.display()
            );
        }
    }
}

async fn functions(bench: &Bench) -> Vec<String> {
    let libraries: Vec<std::collections::HashMap<String, deadpool_redis::redis::Value>> =
        bench.ask(&["FUNCTION", "LIST"]).await;
    let name = |library: &std::collections::HashMap<String, deadpool_redis::redis::Value>| {
        deadpool_redis::redis::from_redis_value(library["library_name"].clone()).unwrap()
    };
    libraries.iter().map(name).collect()
}

/// F58: functions of a version that is gone would stay on the server for ever.
#[tokio::test]
async fn functions_of_other_versions_go_and_those_of_others_stay() {
    let bench = Bench::start().await;
    a_whole_run(&bench, 1).await;
    let ours = functions(&bench).await.len();
    for name in [
        "testfleet_claim_0123456789",
        "testfleet_of_somebody",
        "others_claim_0123456789",
    ] {
        let code = format!("#!lua name={name}\nredis.register_function('{name}', function() return 1 end)");
        let _: String = bench.ask(&["FUNCTION", "LOAD", &code]).await;
    }
    assert_eq!(bench.store.forget_other_functions().await.unwrap(), 1);
    let left = functions(&bench).await;
    assert_eq!(left.len(), ours + 2);
    assert!(!left.contains(&"testfleet_claim_0123456789".to_owned()), "{left:?}");
    assert_eq!(bench.store.forget_other_functions().await.unwrap(), 0);
}

/// F52: an account that may call functions and not load them, and a server without memory for them, get the same text as a script.
#[tokio::test]
async fn where_functions_cannot_be_loaded_scripts_do_the_same() {
    let bench = Bench::start().await;
    let () = bench.ask(&["ACL", "SETUSER", "default", "-function"]).await;
    a_whole_run(&bench, 1).await;
    let () = bench.ask(&["ACL", "SETUSER", "default", "+function"]).await;
    assert_eq!(functions(&bench).await, Vec::<String>::new());
    assert_eq!(cached(&bench).await, 0);
}
