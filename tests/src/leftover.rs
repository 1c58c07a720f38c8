//! What an idle store must not hold: rights, places and waiting jobs, and runs without an end to their retention.

use std::collections::BTreeMap;

use serde_json::Value;

/// The last part of keys that are gone when nothing runs and nothing waits. Redis removes empty collections itself. An
/// endpoint has `tenants` that wait, the shard has weights of the same name.
const LIVE: [&str; 18] = [
    "ready:endpoints",
    "wakes",
    "tenants",
    "waiting",
    "paused",
    "leases",
    "delayed",
    "control",
    "mails",
    "control:owners",
    "control:attempts",
    "outbox",
    "deadlines",
    "slots",
    "lingering",
    "jobs",
    "owners",
    "again",
];

/// What a dump of the whole database (`TestRedis::dump`) holds although no run is open, each as a sentence. Empty: nothing leaked.
#[must_use]
pub fn leftovers(dump: &BTreeMap<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in dump {
        let Some((_, rest)) = key.split_once("}:") else {
            continue;
        };
        // `dead:jobs` are the payloads of what was given up; they stay until their retention is over.
        let live = !["dead:jobs", "tenants"].contains(&rest)
            && LIVE
                .iter()
                .any(|part| rest == *part || rest.ends_with(&format!(":{part}")));
        if live {
            found.push(format!("{key} is {value}"));
        }
        if rest.starts_with("run:") && !key.ends_with(" ttl") && !dump.contains_key(&format!("{key} ttl")) {
            found.push(format!("{key} stays for ever"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rights_and_places_are_found_and_ended_runs_and_dead_jobs_are_not() {
        let dump = [
            ("tf:{0}:leases", json!({"zset": [["r/0", 1]]})),
            ("tf:{0}:endpoint:stub:slots", json!({"set": ["r/0"]})),
            ("tf:{0}:endpoint:stub:limits", json!({"max_concurrency": "1"})),
            ("tf:{0}:dead:jobs", json!({"r/0": "{}"})),
            ("tf:{0}:run:r", json!({"state": "completed"})),
            ("tf:{0}:run:r ttl", json!(true)),
            ("tf:{0}:run:q:results", json!({"0": "{}"})),
        ];
        let dump = dump.map(|(key, value)| (key.to_owned(), value)).into();
        let found = leftovers(&dump);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().any(|line| line.starts_with("tf:{0}:run:q:results stays")));
    }
}
