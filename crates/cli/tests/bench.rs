//! `bench`: every workload, small, but through every part. What is measured has to be there and to be possible; how fast it was
//! is nobody's business here.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Harness, Ran, ran};
use serde_json::Value;

/// What every measurement has that goes from submission to summary.
const OF_A_PASS: [&str; 7] = [
    "staging_s",
    "total_s",
    "jobs_per_s",
    "server_cpu_us_per_job",
    "calls_per_job",
    "commands_per_job",
    "server_peak_mib",
];

fn document(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

/// Runs `bench` with these arguments and `--json`; answers its cases.
fn cases(arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["bench", "--json"];
    all.extend(arguments);
    let document = document(&Harness::new().run(&all));
    assert!(document["server"].as_str().unwrap().contains(' '), "{document}");
    document["cases"].as_array().unwrap().clone()
}

/// The figure in the first measurement; it has to be there, and no nonsense.
fn figure(case: &Value, name: &str) -> f64 {
    let value = case["runs"][0][name].as_f64();
    let value = value.unwrap_or_else(|| panic!("{name} is not in {case}"));
    assert!(value.is_finite() && value >= 0.0, "{name}: {case}");
    value
}

fn assert_is_a_pass(case: &Value) {
    for name in OF_A_PASS {
        figure(case, name);
    }
    assert!(figure(case, "jobs_per_s") > 0.0, "{case}");
    assert!(
        figure(case, "commands_per_job") > figure(case, "calls_per_job"),
        "{case}"
    );
    if cfg!(target_os = "linux") {
        assert!(figure(case, "worker_rss_mib") > 1.0, "{case}");
        figure(case, "process_cpu_us_per_job");
    }
}

#[test]
fn a_fan_out_is_what_is_measured_when_nothing_is_named() {
    let cases = cases(&["--tests", "300", "--repeat", "3"]);
    let [case] = cases.as_slice() else { panic!("{cases:?}") };
    assert_eq!(case["plan"]["workload"], "fan-out");
    assert_eq!(case["runs"].as_array().unwrap().len(), 3);
    assert_is_a_pass(case);
    // 300 tests in flight of 256 at once: far fewer calls than tests.
    assert!(figure(case, "calls_per_job") < 0.5, "{case}");
    for run in case["runs"].as_array().unwrap() {
        let (run, spread) = (run["jobs_per_s"].as_f64().unwrap(), &case["spread"]);
        assert!(run >= spread["min"]["jobs_per_s"].as_f64().unwrap(), "{case}");
        assert!(run <= spread["max"]["jobs_per_s"].as_f64().unwrap(), "{case}");
    }
}

#[test]
fn a_chain_takes_a_call_for_every_test_also_by_separate_workers_into_a_file() {
    let more = [
        "--tests",
        "40",
        "--repeat",
        "1",
        "--separate",
        "--workers",
        "2",
        "--aof",
    ];
    let named = cases(&[&["chain"][..], &more].concat());
    let by_mode = cases(&[&["--mode", "sequential"][..], &more].concat());
    for case in [&named[0], &by_mode[0]] {
        assert_eq!(case["plan"]["mode"], "Sequential");
        assert_is_a_pass(case);
        assert!(figure(case, "calls_per_job") >= 1.0, "{case}");
    }
}

#[test]
fn every_limit_costs_commands() {
    // Of a chain, where each test has a call of its own whatever the timing is.
    let without = cases(&["chain", "--tests", "60", "--repeat", "1"]);
    let with = cases(&["chain", "--tests", "60", "--repeat", "1", "--limits"]);
    let commands = |case: &Value| figure(case, "commands_per_job");
    assert!(commands(&with[0]) > commands(&without[0]), "{with:?} {without:?}");
}

#[test]
fn http_calls_go_to_a_stub_and_are_held_against_the_ideal_time() {
    let cases = cases(&[
        "http",
        "--tests",
        "40",
        "--concurrency",
        "20",
        "--latency",
        "5ms",
        "--repeat",
        "1",
    ]);
    assert_is_a_pass(&cases[0]);
    // Nobody is faster than the stub: 40 calls of 5 ms, 20 at once.
    assert!(figure(&cases[0], "over_ideal") >= 1.0, "{cases:?}");
    if cfg!(target_os = "linux") {
        figure(&cases[0], "stub_cpu_us_per_job");
    }
}

#[test]
fn staging_alone_tells_what_a_waiting_test_needs() {
    let cases = cases(&["dispatch", "--tests", "2000", "--repeat", "1"]);
    let (needs, payload) = (
        figure(&cases[0], "server_bytes_per_test"),
        figure(&cases[0], "payload_bytes"),
    );
    assert!(payload > 20.0, "{cases:?}");
    assert!(needs > payload && needs < payload * 20.0, "{cases:?}");
    assert!(cases[0]["runs"][0].get("worker_rss_mib").is_none(), "{cases:?}");
}

#[test]
fn a_collection_alone_reads_every_result() {
    let cases = cases(&["collect", "--tests", "700", "--repeat", "1"]);
    assert!(figure(&cases[0], "jobs_per_s") > 0.0);
    // It reads in pages.
    assert!(figure(&cases[0], "commands_per_job") < 1.0, "{cases:?}");
    assert!(cases[0]["runs"][0].get("staging_s").is_none(), "{cases:?}");
}

#[test]
fn many_runs_share_an_endpoint_or_have_one_each() {
    let cases = cases(&["runs", "endpoints", "--runs", "20", "--tests", "3", "--repeat", "1"]);
    assert_eq!(cases.len(), 2);
    for case in &cases {
        assert_is_a_pass(case);
        assert_eq!(case["plan"]["runs"], 20);
    }
    assert_eq!(cases[0]["plan"]["own_endpoints"], false);
    assert_eq!(cases[1]["plan"]["own_endpoints"], true);
}

#[test]
fn latency_is_told_by_percentiles() {
    let cases = cases(&["latency", "--runs", "5", "--workers", "2", "--repeat", "1"]);
    let (p50, p99) = (
        figure(&cases[0], "first_call_p50_ms"),
        figure(&cases[0], "first_call_p99_ms"),
    );
    assert!(0.0 < p50 && p50 <= p99, "{cases:?}");
}

#[test]
fn scaling_has_a_case_for_each_number_of_processes() {
    let cases = cases(&[
        "scaling",
        "scaling-http",
        "--workers",
        "2",
        "--tests",
        "60",
        "--repeat",
        "1",
    ]);
    let named: Vec<(&str, &str)> = cases
        .iter()
        .map(|case| {
            let plan = &case["plan"];
            (plan["workload"].as_str().unwrap(), plan["case"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        named,
        [
            ("scaling", "1 worker"),
            ("scaling", "2 workers"),
            ("scaling-http", "1 worker"),
            ("scaling-http", "2 workers"),
        ]
    );
    cases.iter().for_each(assert_is_a_pass);
}

#[test]
fn a_small_batch_takes_more_calls() {
    let cases = cases(&["batch", "--tests", "256", "--repeat", "1"]);
    assert_eq!(cases.len(), 4);
    cases.iter().for_each(assert_is_a_pass);
    let calls: Vec<f64> = cases.iter().map(|case| figure(case, "calls_per_job")).collect();
    for (calls, size) in calls.iter().zip([1.0, 8.0, 64.0, 256.0]) {
        assert!(*calls >= 1.0 / size, "{calls} calls that carry {size} jobs at most");
    }
    assert!(calls[3] < calls[0] / 2.0, "{calls:?}");
}

#[test]
fn tests_in_flight_are_as_many_as_there_is_room_for() {
    let cases = cases(&["in-flight", "--tests", "300", "--latency", "20ms", "--repeat", "1"]);
    assert_eq!(cases.len(), 4);
    for case in &cases {
        assert_is_a_pass(case);
        assert!(figure(case, "over_ideal") >= 1.0, "{case}");
    }
    // 300 tests of 20 ms do not all fit into 256 places at once: that takes two rounds.
    assert!(figure(&cases[0], "total_s") >= 0.04, "{cases:?}");
}

#[test]
fn the_bare_sequence_is_measured_on_the_same_server() {
    let cases = cases(&["bare", "--tests", "500", "--repeat", "1"]);
    assert_eq!(cases.len(), 2);
    for case in &cases {
        assert_is_a_pass(case);
        let rate = 500.0 / figure(case, "total_s");
        let of_bare = rate / figure(case, "bare_jobs_per_s");
        assert!((figure(case, "of_bare") - of_bare).abs() < 1e-6, "{case}");
    }
    assert_eq!(cases_of("limit"), 2);
}

/// How many cases there are of a workload by that name.
fn cases_of(name: &str) -> usize {
    cases(&[name, "--tests", "64", "--repeat", "1"]).len()
}

#[test]
fn people_get_all_figures_of_one_workload_and_a_line_for_each_of_several() {
    let harness = Harness::new();
    let one = harness.run(&["bench", "--tests", "20", "--repeat", "2"]);
    assert_eq!(one.code, 0, "{}", one.err);
    assert!(
        one.out
            .starts_with("fan-out: 20 tests, Parallel, 1 worker in this process"),
        "{}",
        one.out
    );
    for wanted in ["MIN", "MEDIAN", "jobs/s", "server cpu, us/job", "calls/job"] {
        assert!(one.out.contains(wanted), "{wanted}: {}", one.out);
    }
    let several = harness.run(&["bench", "chain", "http", "--tests", "5", "--repeat", "1"]);
    assert_eq!(several.code, 0, "{}", several.err);
    let lines: Vec<&str> = several.out.lines().collect();
    assert!(lines[1].starts_with("WORKLOAD"), "{}", several.out);
    assert!(
        lines[2].starts_with("chain") && lines[3].starts_with("http"),
        "{}",
        several.out
    );
    assert!(lines[3].contains("x ideal"), "{}", several.out);
}

#[test]
fn this_program_is_compared_with_another_one_in_turn() {
    let program = env!("CARGO_BIN_EXE_testfleet");
    let harness = Harness::new();
    let arguments = [
        "bench",
        "batch",
        "--tests",
        "30",
        "--repeat",
        "2",
        "--against",
        program,
        "--json",
    ];
    let document = document(&harness.run(&arguments));
    let pairings = document["pairings"].as_array().unwrap();
    assert_eq!(pairings.len(), 4, "{document}");
    for pairing in pairings {
        assert_eq!(pairing["this"].as_array().unwrap().len(), 2);
        assert_eq!(pairing["other"].as_array().unwrap().len(), 2);
        let figures = pairing["figures"].as_array().unwrap();
        let rate = figures.iter().find(|figure| figure["figure"] == "jobs_per_s").unwrap();
        let ratio = rate["this"].as_f64().unwrap() / rate["other"].as_f64().unwrap();
        assert!((rate["ratio"].as_f64().unwrap() - ratio).abs() < 1e-9, "{rate}");
    }
    let shown = harness.run(&["bench", "chain", "--tests", "30", "--repeat", "1", "--against", program]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(shown.out.starts_with("chain: this program against"), "{}", shown.out);
    assert!(
        shown.out.contains("THIS/OTHER") && shown.out.contains("jobs/s"),
        "{}",
        shown.out
    );
}

#[test]
fn a_program_that_cannot_measure_is_named_with_what_it_said() {
    let harness = Harness::new();
    let missing = harness.run(&["bench", "--tests", "1", "--against", "./nothing-here"]);
    assert_eq!(missing.code, 2, "{}", missing.err);
    assert!(
        missing.err.contains("could not start ./nothing-here"),
        "{}",
        missing.err
    );
    harness.write("broken", "#!/bin/sh\necho it is broken >&2\nexit 7\n");
    let broken = harness.path("broken");
    assert!(
        std::process::Command::new("chmod")
            .arg("+x")
            .arg(&broken)
            .status()
            .unwrap()
            .success()
    );
    let broken = harness.run(&["bench", "--tests", "1", "--against", broken.to_str().unwrap()]);
    assert_eq!(broken.code, 1, "{}", broken.err);
    assert!(broken.err.contains("it is broken"), "{}", broken.err);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_measured() {
    let harness = Harness::new();
    for (arguments, said) in [
        (
            &["dispatch", "--workers", "2"][..],
            "--workers means nothing to the workload dispatch",
        ),
        (
            &["latency", "--separate"],
            "--separate means nothing to the workload latency",
        ),
        (
            &["collect", "--limits"],
            "--limits means nothing to the workload collect",
        ),
        (
            &["chain", "--mode", "parallel"],
            "--mode means nothing to the workload chain",
        ),
        (&["--runs", "3"], "--runs means nothing to the workload fan-out"),
        (&["--suite", "--tests", "3"], "--tests does not go with --suite"),
        (&["--suite", "http"], "cannot be used with"),
        (&["--idle", "--limits"], "cannot be used with"),
        (&["--aof", "--redis", "redis://127.0.0.1:1"], "cannot be used with"),
        (&["fun-out"], "possible values"),
    ] {
        let ran = harness.run(&[&["bench"][..], arguments].concat());
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn nothing_is_left_on_a_server_that_was_named() {
    let server = testfleet_testkit::TestRedis::start();
    let url = server.url();
    let harness = Harness::new();
    for workload in ["fan-out", "dispatch", "bare"] {
        let ran = harness.run(&[
            "bench", workload, "--tests", "50", "--repeat", "1", "--redis", &url, "--json",
        ]);
        document(&ran);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let left = runtime.block_on(server.dump("tf"));
    assert!(left.is_empty(), "{:?}", left.keys());
}

#[test]
fn idle_workers_are_counted_by_command() {
    let harness = Harness::new();
    let ran = harness.run(&["bench", "--idle", "--workers", "2", "--seconds", "1", "--json"]);
    let idle = &document(&ran)["idle"];
    assert_eq!(idle["workers"], 2);
    assert!(idle["commands_per_s"].as_f64().unwrap() > 0.0, "{idle}");
    assert!(!idle["by_command"].as_array().unwrap().is_empty(), "{idle}");
}

#[test]
fn the_takeover_of_a_killed_worker_is_measured() {
    let harness = Harness::new();
    let mut command = harness.command(&["bench", "--takeover", "--repeat", "1", "--json"]);
    command.env("TESTFLEET_WORKER_LEASE", "600ms");
    command.env("TESTFLEET_WORKER_REAPER_INTERVAL", "100ms");
    let takeover = &document(&ran(command))["takeover"];
    assert_eq!(takeover["takeover_s"].as_array().unwrap().len(), 1, "{takeover}");
    assert_eq!(takeover["bound_s"], 1.7, "{takeover}");
}
