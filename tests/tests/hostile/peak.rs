//! How much memory a worker takes for each of what is hostile.

use serde_json::json;

use crate::case::{Case, Part, other_parts, parts};
use crate::{fleet, hostile_path};

/// Tests of each, eight at once.
const TESTS: usize = 16;

/// The most memory the process has had, in KiB.
pub(crate) fn of_process(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process that runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("its peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The table of `docs/limits.md`: a worker of its own for each, with 64 MiB for answers, which is called for nothing else.
#[tokio::test]
#[ignore = "prints figures; it takes minutes"]
#[allow(clippy::print_stdout)]
async fn the_peak_of_a_worker_for_each() {
    let fleet = fleet();
    println!("| what the endpoint does | error | peak, MiB |");
    println!("|---|---|---|");
    let all: Vec<Part> = parts(&fleet).into_iter().chain(other_parts(&fleet)).collect();
    let (mut seen, mut number) = (std::collections::BTreeSet::new(), 0);
    for part in &all {
        let form = part.endpoint["type"]
            .as_str()
            .or(part.endpoint["response"]["format"].as_str());
        let form = form.or(part.endpoint["http2"].as_str()).unwrap_or("http");
        let good = Case {
            url: part.good.clone(),
            class: testfleet_model::result::ErrorClass::Internal,
            calls: 0,
        };
        for case in std::iter::once(&good).chain(&part.cases) {
            let path = hostile_path(&fleet, &case.url);
            let name = match &path {
                Some(path) => path.trim_start_matches("/hostile/").to_owned(),
                None if case.calls == 0 => "nothing of that".to_owned(),
                None => continue,
            };
            if !seen.insert((form.to_owned(), name.clone())) {
                continue;
            }
            number += 1;
            let worker = fleet.worker(&format!("w{number}")).await;
            let suite = many(part, case);
            let run = fleet.submit(&suite).await;
            let ended = fleet.ended(run).await;
            let class = ended.all_results()[0].error.as_ref().map(|error| error.class);
            let class = class.map_or_else(|| "none".to_owned(), |class| json!(class).as_str().unwrap().to_owned());
            let peak = of_process(worker.pid()) as f64 / 1024.0;
            println!("| {form}: `{name}` | {class} | {peak:.0} |");
        }
    }
}

fn many(part: &Part, case: &Case) -> serde_json::Value {
    let mut suite = part.suite();
    let tests = (0..TESTS).map(|at| json!({"id": format!("t{at}"), "input": "hello", "vars": {"url": case.url}}));
    suite["test_set"] = json!({"tests": tests.collect::<Vec<_>>()});
    suite["endpoint"]["timeouts"] = json!({"connect": "2s", "first_byte": "2s", "idle": "2s", "attempt": "4s"});
    suite
}
