//! CLOCK-FREE (F98): the only clock is the server's. A worker whose own clock is minutes off cannot take a job early
//! or start one late, since it never says what time it is: callers pass lengths of time, scripts ask the server.

use std::fs;
use std::path::Path;

#[test]
fn no_code_of_the_store_reads_the_clock_of_its_machine() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    for entry in fs::read_dir(sources).unwrap() {
        let path = entry.unwrap().path();
        let Ok(code) = fs::read_to_string(&path) else {
            continue;
        };
        read += 1;
        for clock in ["SystemTime", "Utc::now", "Local::now", "Instant::now"] {
            assert!(!code.contains(clock), "{} reads {clock}", path.display());
        }
    }
    assert!(read > 10);
}

#[test]
fn every_script_that_needs_the_time_asks_the_server() {
    for script in testfleet_store::script::all() {
        let uses = script.source().contains("(now");
        let asks = script.source().contains("--@include time");
        assert!(!uses || asks, "{} uses a time that is not the server's", script.name());
        assert_eq!(script.code().matches("redis.call('TIME')").count(), usize::from(asks));
    }
}
