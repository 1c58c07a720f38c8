//! `attributes`: how to run.

use serde_json::{Value, json};

use crate::configuration::{Attributes, DEFAULT_TENANT, MAX_REPEAT, PastStatus};
use crate::duration;
use crate::recovery::MAX_RECOVERY_ROUNDS;
use crate::state::Status;

use super::shape::{
    Key, Mapping, count, count_to, defined, filled, flag, large_count, one_or_list, plain_name, positive, share, word,
};

pub(super) fn attributes() -> Value {
    let default = Attributes::default();
    let time = || defined("duration");
    Mapping::of(vec![
        Key::new(
            "execution_mode",
            json!({"type": "string", "anyOf": [
                {"enum": ["Parallel", "Sequential"]},
                {"pattern": "^([Pp][Aa][Rr][Aa][Ll][Ll][Ee][Ll]|[Ss][Ee][Qq][Uu][Ee][Nn][Tt][Ii][Aa][Ll])$"},
            ]}),
            "Parallel: all tests can start at once. Sequential: a test starts when the one before it has its result.",
        )
        .default(default.execution_mode.to_string()),
        Key::new(
            "batch_concurrency",
            count(),
            "Tests of the run in flight at any instant, over all workers.",
        )
        .default(default.batch_concurrency),
        Key::alias("max_concurrency", "batch_concurrency", count()),
        Key::new(
            "per_test_timeout",
            time(),
            "The longest a test may take: all its attempts, the waits between them, and its metrics.",
        )
        .default(duration::format(default.per_test_timeout)),
        Key::new(
            "run_timeout",
            time(),
            "The longest the run may take; else as the deployment says.",
        ),
        Key::new(
            "idempotency_key",
            filled(),
            "The same key and document give the same run, for 24 hours.",
        ),
        Key::new("tenant", plain_name(), "Who shares endpoints with others by weight.").default(DEFAULT_TENANT),
        Key::new(
            "priority",
            word(&["low", "normal", "high"]),
            "The run's weight among the runs of its tenant: a tenth, one, ten.",
        )
        .default("normal"),
        Key::new(
            "order",
            word(&["submitted", "longest-first"]),
            "Which tests come first (Parallel).",
        )
        .default("submitted"),
        Key::new("groups", groups(), "Groups of tests that share a limit."),
        Key::new(
            "repeat",
            count_to(MAX_REPEAT),
            "How often each test is executed unless it says otherwise.",
        )
        .default(1),
        Key::new("repeat_policy", repeat_policy(), "When a repeated test passes."),
        Key::new(
            "fail_fast",
            json!({"anyOf": [flag(), count()]}),
            "Stop the run when so many tests failed or ended in error; `true` is 1.",
        )
        .default(false),
        Key::new(
            "stop_on_failure",
            flag(),
            "Sequential: stop at the first test that fails or ends in error.",
        )
        .default(false),
        Key::new("budget", budget(), "Stop the run when so much was used."),
        Key::new(
            "recovery_rounds",
            json!({"type": "integer", "minimum": 0, "maximum": MAX_RECOVERY_ROUNDS}),
            "How often tests whose error may be transient are tried once more when the rest is done; else once, or never where a test may have one attempt only.",
        ),
        Key::new(
            "only",
            one_or_list(filter()),
            "Which tests of the set are part of the run: those that one of these takes, and what they depend on.",
        ),
        Key::new(
            "skip",
            one_or_list(filter()),
            "Which tests of the set are no part of the run.",
        ),
        Key::new(
            "status_from",
            run(),
            "The run whose results `status:` filters speak of.",
        ),
        Key::new(
            "reference_test_run_id",
            run(),
            "The run whose stored outputs are evaluated instead of calling the endpoint.",
        ),
        Key::new(
            "invoke_max_attempts",
            count(),
            "Another name of `endpoint.retry.max_attempts`.",
        ),
        Key::new(
            "invoke_retry_min_wait",
            time(),
            "Another name of `endpoint.retry.backoff.initial`.",
        ),
        Key::new(
            "invoke_retry_max_wait",
            time(),
            "Another name of `endpoint.retry.backoff.max`.",
        ),
    ])
    .schema()
}

/// One filter.
fn filter() -> Value {
    let statuses: Vec<&str> = PastStatus::WORDS.iter().map(|(_, word)| *word).collect();
    let results: Vec<&str> = Status::ALL.iter().map(|status| status.word()).collect();
    let words = [statuses, results]
        .concat()
        .iter()
        .map(|word| any_case(word))
        .collect::<Vec<_>>()
        .join("|");
    json!({
        "type": "string",
        "anyOf": [
            {"pattern": "^id:[\\s\\S]"},
            {"pattern": "^tag:[^=]+=[\\s\\S]*$"},
            {"pattern": format!("^status:({words})$")},
        ],
        "examples": ["id:refund-*", "tag:area=tone", "status:failed"],
    })
}

/// A pattern for a word of letters and `-`, in any case.
fn any_case(word: &str) -> String {
    let one = |letter: char| match letter.is_ascii_alphabetic() {
        true => format!("[{}{}]", letter.to_ascii_uppercase(), letter.to_ascii_lowercase()),
        false => letter.to_string(),
    };
    word.chars().map(one).collect()
}

/// The id of a run, in one of the forms that UUIDs are written in.
fn run() -> Value {
    let hex = "[0-9A-Fa-f]";
    let hyphenated = format!("{hex}{{8}}-{hex}{{4}}-{hex}{{4}}-{hex}{{4}}-{hex}{{12}}");
    json!({
        "type": "string",
        "pattern": format!("^({hyphenated}|{hex}{{32}}|\\{{{hyphenated}\\}}|urn:uuid:{hyphenated})$"),
        "examples": ["0197c5a2-7b7e-7000-8000-000000000001"],
    })
}

fn groups() -> Value {
    let group = Mapping::of(vec![
        Key::new(
            "max_concurrency",
            count(),
            "Tests of the group in flight at any instant.",
        )
        .required(),
    ]);
    json!({"type": "object", "propertyNames": plain_name(), "additionalProperties": group.schema()})
}

fn repeat_policy() -> Value {
    Mapping::of(vec![
        Key::new(
            "min_pass_rate",
            share(),
            "The share of its repetitions that have to pass.",
        )
        .default(1),
    ])
    .schema()
}

fn budget() -> Value {
    Mapping::of(vec![
        Key::new("requests", large_count(), "Attempts; never exceeded."),
        Key::new(
            "tokens",
            large_count(),
            "Tokens, as far as responses say how many; calls in flight may go beyond.",
        ),
        Key::new(
            "cost",
            positive(),
            "Cost, as far as responses say what they cost; calls in flight may go beyond.",
        ),
    ])
    .schema()
}
