//! Settings as programs load them.

use std::time::Duration;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Sources {
    Sources::default().environment(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

fn file(text: &str) -> (tempfile::NamedTempFile, Sources) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let sources = Sources::default().file(file.path());
    (file, sources)
}

fn problems(sources: Sources) -> Vec<String> {
    Settings::load(sources)
        .unwrap_err()
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn without_sources_the_documented_defaults_hold() {
    let settings = Settings::defaults();
    assert!(settings.redis.url.is_none());
    assert_eq!(settings.redis.prefix, "tf");
    assert_eq!(settings.worker.concurrency, 256);
    assert_eq!(settings.worker.lease, Duration::from_secs(10));
    assert_eq!(settings.run.retention, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(settings.limits.max_test_bytes, 256 << 10);
    assert_eq!(settings.limits.answer_memory, 256 << 20);
    assert!(settings.egress.allow.is_empty());
    assert_eq!(settings.log.format, LogFormat::Text);
}

#[test]
fn every_key_of_the_default_file_is_explained_above_it() {
    let lines: Vec<&str> = DEFAULT_TOML.lines().collect();
    for (above, line) in lines
        .iter()
        .zip(&lines[1..])
        .filter(|(_, line)| line.contains(" = ") && !line.starts_with('#'))
    {
        assert!(above.starts_with("# "), "{line}");
    }
}

#[test]
fn a_later_source_wins_over_an_earlier_one() {
    let (_file, sources) = file("[worker]\nconcurrency = 1\nlease = \"20s\"\nstop_grace = \"1s\"\n");
    let variables = [("TESTFLEET_WORKER_CONCURRENCY", "2"), ("TESTFLEET_WORKER_LEASE", "30s")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let sources = sources
        .environment(variables)
        .flag("--concurrency", "worker.concurrency", "3");
    let settings = Settings::load(sources).unwrap();
    assert_eq!(settings.worker.concurrency, 3);
    assert_eq!(settings.worker.lease, Duration::from_secs(30));
    assert_eq!(settings.worker.stop_grace, Duration::from_secs(1));
}

#[test]
fn the_environment_may_name_the_file_and_a_flag_wins_over_it() {
    let (named, _) = file("[retry]\nmax_attempts = 7\n");
    let path = named.path().display().to_string();
    let settings = Settings::load(environment(&[("TESTFLEET_CONFIG", &path)])).unwrap();
    assert_eq!(settings.retry.max_attempts, 7);
    let (other, _) = file("[retry]\nmax_attempts = 8\n");
    let settings = Settings::load(environment(&[("TESTFLEET_CONFIG", &path)]).file(other.path())).unwrap();
    assert_eq!(settings.retry.max_attempts, 8);
}

#[test]
fn all_problems_are_reported_together_with_key_value_origin_and_expectation() {
    let (_file, sources) = file("[worker]\nlease = 10\n[run]\ndeadlin = \"1h\"\n");
    let sources = sources.flag("--concurrency", "worker.concurrency", "0");
    let sources = sources.environment([("TESTFLEET_LOG_FORMAT".to_owned(), "xml".to_owned())]);
    let error = Settings::load(sources).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.problems.len(), 4, "{text}");
    for part in [
        "4 problems",
        "line 4): unknown setting; did you mean run.deadline?",
        "worker.lease = \"10\"",
        "line 2): expected a duration with a unit",
        "worker.concurrency = \"0\" (flag --concurrency): expected a whole number from 1 to 10000",
        "log.format = \"xml\" (environment, TESTFLEET_LOG_FORMAT): expected text or json",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn an_unknown_variable_is_an_error_with_a_suggestion_and_without_its_value() {
    let found = problems(environment(&[("TESTFLEET_REDIS_ULR", "redis://:hunter2@h")]));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("did you mean TESTFLEET_REDIS_URL?"), "{found:?}");
    assert!(!found[0].contains("hunter2"));
}

#[test]
fn variables_with_other_meanings_are_no_settings() {
    let sources = environment(&[
        ("TESTFLEET_SECRET_OPENAI", "key"),
        ("TESTFLEET_SHARED_DATA", "/data"),
        ("TESTFLEET_MINE", "1"),
        ("TESTFLEET_SERVER_PORT", "tcp://10.0.0.7:80"),
        ("TESTFLEET_SERVER_SERVICE_HOST", "10.0.0.7"),
        ("TESTFLEET_SERVER_PORT_80_TCP_PROTO", "tcp"),
        ("TESTFLEET_WORKER_LEASE", ""),
        ("PATH", "/bin"),
    ]);
    let settings = Settings::load(sources.reserve_variable("TESTFLEET_MINE")).unwrap();
    assert_eq!(settings.worker.lease, Duration::from_secs(10));
}

#[test]
fn secrets_can_come_from_files_and_are_masked_wherever_settings_are_shown() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "redis://:hunter2@h:1\n").unwrap();
    let path = secret.path().display().to_string();
    let settings = Settings::load(environment(&[
        ("TESTFLEET_REDIS_URL_FILE", &path),
        ("TESTFLEET_NOTIFY_SMTP_URL", "smtps://hunter2@mail"),
    ]))
    .unwrap();
    assert_eq!(settings.redis.url.as_ref().unwrap().expose(), "redis://:hunter2@h:1");
    for text in [
        format!("{settings:?}"),
        settings.render_toml_masked(),
        format!("{:?}", settings.describe()),
    ] {
        assert!(text.contains("redis://***@h:1"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_secret_with_a_mistake_is_not_repeated() {
    let found = problems(environment(&[("TESTFLEET_REDIS_URL", "http://:hunter2@h")]));
    assert!(found[0].contains("expected redis://"), "{found:?}");
    assert!(!found[0].contains("hunter2"));
}

#[test]
fn a_value_and_a_file_for_it_at_once_are_refused() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "redis://h").unwrap();
    let path = secret.path().display().to_string();
    let found = problems(environment(&[
        ("TESTFLEET_REDIS_URL", "redis://h"),
        ("TESTFLEET_REDIS_URL_FILE", &path),
    ]));
    assert!(
        found[0].contains("set by environment, TESTFLEET_REDIS_URL as well"),
        "{found:?}"
    );
}

#[test]
fn a_missing_file_is_a_problem_and_so_is_one_that_is_no_toml() {
    assert!(problems(Sources::default().file("/nowhere/at-all.toml"))[0].contains("expected a readable file"));
    let (_file, sources) = file("[worker\n");
    assert!(problems(sources)[0].contains("expected TOML, found a mistake in line 1"));
}

#[test]
fn default_heartbeat_and_reaper_give_way_to_a_short_lease() {
    let settings = Settings::load(environment(&[("TESTFLEET_WORKER_LEASE", "300ms")])).unwrap();
    assert_eq!(settings.worker.heartbeat, Duration::from_millis(100));
    assert_eq!(settings.worker.reaper_interval, Duration::from_millis(75));
    assert!(
        settings
            .render_toml_masked()
            .contains("heartbeat = \"100ms\"  # default, made to fit worker.lease")
    );
}

#[test]
fn a_heartbeat_that_was_set_must_fit_the_lease() {
    let found = problems(environment(&[
        ("TESTFLEET_WORKER_HEARTBEAT", "4s"),
        ("TESTFLEET_WORKER_REAPER_INTERVAL", "3s"),
    ]));
    assert_eq!(
        found,
        [
            "worker.heartbeat = \"4s\" (environment, TESTFLEET_WORKER_HEARTBEAT): expected at most 3s 333ms, as worker.lease has it",
            "worker.reaper_interval = \"3s\" (environment, TESTFLEET_WORKER_REAPER_INTERVAL): expected at most 2s 500ms, as worker.lease has it",
        ]
    );
}

#[test]
fn a_broken_lease_is_one_problem_and_not_three() {
    assert_eq!(
        problems(environment(&[
            ("TESTFLEET_WORKER_LEASE", "soon"),
            ("TESTFLEET_WORKER_HEARTBEAT", "2s")
        ]))
        .len(),
        1
    );
}

#[test]
fn the_default_half_of_a_backoff_gives_way_to_the_half_that_was_set() {
    let settings = Settings::load(environment(&[
        ("TESTFLEET_RETRY_BACKOFF_MAX", "100ms"),
        ("TESTFLEET_NOTIFY_BACKOFF", "1h"),
    ]))
    .unwrap();
    assert_eq!(settings.retry.backoff_initial, Duration::from_millis(100));
    assert_eq!(settings.notify.backoff_initial, Duration::from_secs(3600));
    assert_eq!(settings.notify.backoff_max, Duration::from_secs(3600));
    let found = problems(environment(&[
        ("TESTFLEET_RETRY_BACKOFF_INITIAL", "2s"),
        ("TESTFLEET_RETRY_BACKOFF_MAX", "1s"),
    ]));
    assert!(found[0].contains("retry.backoff_max = \"1s\""), "{found:?}");
}

#[test]
fn the_memory_for_answers_has_room_for_the_largest_eight_times() {
    let settings = Settings::load(environment(&[("TESTFLEET_LIMITS_MAX_RESPONSE_BYTES", "64MiB")])).unwrap();
    assert_eq!(settings.limits.answer_memory, 512 << 20);
    let found = problems(environment(&[
        ("TESTFLEET_LIMITS_MAX_RESPONSE_BYTES", "64MiB"),
        ("TESTFLEET_LIMITS_ANSWER_MEMORY", "256MiB"),
    ]));
    assert_eq!(
        found,
        [
            "limits.answer_memory = \"256MiB\" (environment, TESTFLEET_LIMITS_ANSWER_MEMORY): expected at least 512MiB, as limits.max_response_bytes has it"
        ]
    );
}

#[test]
fn lists_are_separated_by_commas_in_the_environment_and_repeated_as_flags() {
    let settings = Settings::load(environment(&[("TESTFLEET_EGRESS_ALLOW", "localhost:8080, 10.0.0.0/8")])).unwrap();
    assert_eq!(settings.egress.allow, ["localhost:8080", "10.0.0.0/8"]);
    let sources =
        Sources::default()
            .flag("--allow-egress", "egress.allow", "a")
            .flag("--allow-egress", "egress.allow", "b");
    assert_eq!(Settings::load(sources).unwrap().egress.allow, ["a", "b"]);
    let (_file, sources) = file("[egress]\nallow = [\"a:1\", \"http://b\"]\n");
    assert!(problems(sources)[0].contains("found \"http://b\""));
}

#[test]
fn a_proxy_is_a_secret_and_names_what_it_is_not_for() {
    let defaults = Settings::defaults().egress;
    assert!(defaults.proxy.is_none() && defaults.ca_file.is_none());
    assert_eq!(defaults.no_proxy, ["localhost", "127.0.0.0/8", "::1/128"]);
    let settings = Settings::load(environment(&[
        ("TESTFLEET_EGRESS_PROXY", "http://ada:lovelace@proxy:3128"),
        ("TESTFLEET_EGRESS_NO_PROXY", "*.internal, 10.0.0.0/8"),
        ("TESTFLEET_EGRESS_CA_FILE", "/etc/ca.pem"),
    ]));
    let settings = settings.unwrap();
    assert_eq!(
        settings.egress.proxy.as_ref().unwrap().expose(),
        "http://ada:lovelace@proxy:3128"
    );
    assert_eq!(settings.egress.no_proxy, ["*.internal", "10.0.0.0/8"]);
    assert!(!settings.render_toml_masked().contains("lovelace"));
    let found = problems(environment(&[(
        "TESTFLEET_EGRESS_PROXY",
        "socks5://ada:lovelace@proxy",
    )]));
    assert!(found[0].contains("expected http://"), "{found:?}");
    assert!(!found[0].contains("lovelace"), "{found:?}");
}

#[test]
fn what_is_rendered_loads_again_to_the_same() {
    let (_file, sources) =
        file("[egress]\nallow = [\"a:1\", \"b\"]\n[worker]\nid = \"say \\\"hi\\\"\"\nlease = \"1s\"\n");
    let settings = Settings::load(sources).unwrap();
    let (_file, sources) = file(&settings.render_toml_masked());
    let again = Settings::load(sources).unwrap();
    let values = |settings: &Settings| {
        settings
            .describe()
            .iter()
            .map(|shown| (shown.key, shown.literal.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&settings));
}

#[test]
fn every_default_is_shown_once_in_the_order_of_the_file() {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in DEFAULT_TOML.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            keys.push(format!("{section}.{key}"));
        }
    }
    let shown: Vec<String> = Settings::defaults()
        .describe()
        .iter()
        .map(|shown| shown.key.to_owned())
        .collect();
    assert_eq!(shown, keys);
}

#[test]
fn a_worker_without_a_name_is_called_after_host_and_process() {
    let mut worker = Settings::defaults().worker;
    assert!(worker.name().ends_with(&format!("-{}", std::process::id())));
    worker.id = Some("mine".to_owned());
    assert_eq!(worker.name(), "mine");
}
