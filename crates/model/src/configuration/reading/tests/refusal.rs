//! Bad documents, and the exact words for them.

use super::*;

/// A whole document with one line of `endpoint`, from line 5.
fn endpoint(line: &str) -> String {
    refused(&format!(
        "version: 1\nname: n\nendpoint:\n  url: https://x.test/\n  {line}\ntest_set: {{tests: [{{input: a}}]}}"
    ))
}

/// A whole document with one test, in line 4.
fn test(test: &str) -> String {
    refused(&format!("{HEAD}test_set: {{tests: [{test}]}}"))
}

/// A whole document with one metric, in line 5.
fn metric(metric: &str) -> String {
    refused(&format!(
        "{HEAD}test_set: {{tests: [{{input: a, expected_output: b}}]}}\nmetrics: [{metric}]"
    ))
}

/// A whole document with another section behind it, in line 5.
fn section(line: &str) -> String {
    refused(&format!("{HEAD}test_set: {{tests: [{{input: a}}]}}\n{line}"))
}

#[test]
fn an_empty_document_says_so() {
    assert_eq!(refused(""), "suite.yaml:1:1: the document is empty");
    for foreign in ["prompts: [a]\nproviders: [echo]\ntests: []", "targets: [{ id: x }]"] {
        let told = "suite.yaml:1:1: this looks like a configuration of promptfoo; `testfleet config import suite.yaml` makes \
                    one of testfleet of it";
        assert_eq!(refused(foreign), told);
    }
    assert_eq!(refused("[]"), "suite.yaml:1:1: expected a mapping, found a list");
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_text() {
    let text = "version: 2\nendpoint:\n  retry:\n    max_atempts: 3\ntest_set: {}\ngates: [pas_rate > 0.5]\n";
    assert_eq!(
        refused(text),
        "suite.yaml:1:1: name: missing; write what people call this configuration\n\
         suite.yaml:1:10: version: version 2 is not supported; this version reads 1\n\
         suite.yaml:3:3: endpoint.url: missing; write the address to call, https://…\n\
         suite.yaml:4:5: endpoint.retry.max_atempts: unknown key; did you mean \"max_attempts\"?\n\
         suite.yaml:5:11: test_set: there is nothing to run; give `tests`, or `sources` with files of tests\n\
         suite.yaml:6:9: gates[0]: unknown measure \"pas_rate\"; did you mean \"pass_rate\"?"
    );
}

#[test]
fn problems_of_endpoints() {
    check(
        endpoint,
        &[
            (
                "type: htp",
                "suite.yaml:5:9: endpoint.type: unknown value \"htp\"; did you mean \"http\"?",
            ),
            (
                "method: 'GE T'",
                "suite.yaml:5:11: endpoint.method: expected an HTTP method such as GET or POST, found \"GE T\"",
            ),
            (
                "headers: {X-A: 1}",
                "suite.yaml:5:18: endpoint.headers.X-A: expected a text, found the number 1; put quotes around it",
            ),
            (
                "headers: {'X A': b}",
                "suite.yaml:5:13: endpoint.headers.X A: \"X A\" is no name for a header",
            ),
            (
                "headers: {a: b, A: c}",
                "suite.yaml:5:19: endpoint.headers.A: this header is written twice; case makes no difference in header names",
            ),
            (
                "headers: {a: \"b\\r\\nc\"}",
                "suite.yaml:5:16: endpoint.headers.a: a header must not contain line breaks",
            ),
            (
                "{body: 1, body_text: x}",
                "suite.yaml:6:1: not valid YAML: simple key expect ':'",
            ),
            (
                "body: 1\n  body_text: x",
                "suite.yaml:6:3: endpoint.body_text: give either `body` or `body_text`, not both",
            ),
            (
                "body: 1\n  request_mapping: 2",
                "suite.yaml:6:3: endpoint.request_mapping: says something else than endpoint.body, which is the same setting; give one of them",
            ),
            (
                "auth: bearer",
                "suite.yaml:5:9: endpoint.auth: expected a mapping with `type` and what that type needs",
            ),
            (
                "auth: {type: bearer}",
                "suite.yaml:5:9: endpoint.auth.token: missing; this type of authentication needs it",
            ),
            (
                "auth: {type: bearer, token: 1234}",
                "suite.yaml:5:31: endpoint.auth.token: expected a text; put quotes around it",
            ),
            (
                "auth: {type: none, token: x}",
                "suite.yaml:5:22: endpoint.auth.token: unknown key",
            ),
            (
                "response: {map: {output: text}}",
                "suite.yaml:5:28: endpoint.response.map.output: expected a JSONPath that starts with $, or a template with {{ … }}",
            ),
            (
                "response: {map: {outptu: $.a}}",
                "suite.yaml:5:20: endpoint.response.map.outptu: unknown key; did you mean \"output\"?",
            ),
            (
                "response: {success: {status: 2xx}}",
                "suite.yaml:5:32: endpoint.response.success.status: expected a status such as 200 or a range such as \"200-299\", found the text \"2xx\"",
            ),
            (
                "timeouts: {attempt: 30}",
                "suite.yaml:5:23: endpoint.timeouts.attempt: expected a duration with a unit such as 250ms, 30s or 5m, found the number 30",
            ),
            (
                "timeouts: {attempt: 0s}",
                "suite.yaml:5:23: endpoint.timeouts.attempt: must be longer than 0s",
            ),
            (
                "retry: {max_attempts: 0}",
                "suite.yaml:5:25: endpoint.retry.max_attempts: expected a whole number of at least 1, found the number 0",
            ),
            (
                "retry: {backoff: {initial: 1m}}",
                "suite.yaml:5:30: endpoint.retry.backoff.initial: the first wait (1m) must not be longer than the longest (30s)",
            ),
            (
                "retry: {retry_on: [conect]}",
                "suite.yaml:5:22: endpoint.retry.retry_on[0]: unknown value \"conect\"; did you mean \"connect\"?",
            ),
            (
                "retry: {retry_on: [42]}",
                "suite.yaml:5:22: endpoint.retry.retry_on[0]: expected a status such as 503 or a class such as connect or timeout, found the number 42",
            ),
            (
                "conversation: {}",
                "suite.yaml:5:17: endpoint.conversation.mode: missing; write `stateful` when the endpoint remembers what was said, `stateless` when each call carries all of it",
            ),
            (
                "conversation: {mode: stateless, id_from: client}",
                "suite.yaml:5:35: endpoint.conversation.id_from: only a stateful endpoint names its conversations",
            ),
            (
                "conversation: {mode: statefull}",
                "suite.yaml:5:24: endpoint.conversation.mode: unknown value \"statefull\"; did you mean \"stateful\"?",
            ),
            (
                "conversation: {mode: stateful, id_from: client, id_field: chat}",
                "suite.yaml:5:51: endpoint.conversation.id_field: with `id_from: client` no response is looked at for an id",
            ),
            (
                "conversation: {mode: stateful, id_field: chat}\n  response: {map: {conversation_id: $.id}}",
                "suite.yaml:5:34: endpoint.conversation.id_field: endpoint.response.map.conversation_id says already where the id is; give one of them",
            ),
            (
                "conversation: {mode: stateful, id_field: $.id}",
                "suite.yaml:5:44: endpoint.conversation.id_field: expected the name of a member of the response's body, found \"$.id\"; a path goes to endpoint.response.map.conversation_id",
            ),
            (
                "conversation: {mode: none, takeover: resume}",
                "suite.yaml:5:30: endpoint.conversation.takeover: without conversations there are none that could be taken over",
            ),
            ("id: ''", "suite.yaml:5:7: endpoint.id: must not be empty"),
        ],
    );
    for url in ["ftp://x", "https://", "x.test", "http:///a", "'https://x y'"] {
        let said = refused(&format!(
            "version: 1\nname: n\nendpoint: {{url: {url}}}\ntest_set: {{tests: [{{input: a}}]}}"
        ));
        assert!(
            said.contains("endpoint.url: expected a URL that starts with http:// or https://"),
            "{said}"
        );
    }
}

#[test]
fn problems_of_tests() {
    check(
        test,
        &[
            (
                "{}",
                "suite.yaml:4:20: test_set.tests[0]: a test needs an `input`, `messages`, `turns`, a `simulated_user` or `vars`",
            ),
            (
                "{input: 42}",
                "suite.yaml:4:28: test_set.tests[0].input: expected a text, found the number 42; put quotes around it",
            ),
            (
                "{id: a, input: b}, {id: a, input: c}",
                "suite.yaml:4:44: test_set.tests[1].id: the id \"a\" is already used in line 4",
            ),
            (
                "{input: a, threshold: 2}",
                "suite.yaml:4:42: test_set.tests[0].threshold: must lie between 0 and 1, as the mean of the scores does",
            ),
            (
                "{input: a, timeout: 1h}",
                "suite.yaml:4:40: test_set.tests[0].timeout: 1h is longer than attributes.per_test_timeout (30m)",
            ),
            (
                "{input: a, capture: {x: $.x}}",
                "suite.yaml:4:40: test_set.tests[0].capture: captured values need attributes.execution_mode: Sequential; in Parallel no test is later than another",
            ),
            (
                "{messages: []}",
                "suite.yaml:4:31: test_set.tests[0].messages: must be a list with at least one message",
            ),
            (
                "{messages: [{role: usr, content: a}]}",
                "suite.yaml:4:39: test_set.tests[0].messages[0].role: unknown value \"usr\"; did you mean \"user\"?",
            ),
            (
                "{input: a, skip: yes}",
                "suite.yaml:4:37: test_set.tests[0].skip: expected true or false, found the text \"yes\"",
            ),
            (
                "{input: a, metrics: [{type: equals}]}",
                "suite.yaml:4:41: test_set.tests[0].metrics[0]: `equals` has nothing to compare with; give it a `value`, or the test an `expected_output`",
            ),
            (
                "{turns: [hi]}",
                "suite.yaml:4:28: test_set.tests[0].turns: the endpoint holds no conversations; say how it does with endpoint.conversation.mode: `stateless` when each call carries all `messages`, `stateful` when it remembers under an id",
            ),
            (
                "{input: a, turns: [hi]}",
                "suite.yaml:4:21: test_set.tests[0].input: in a dialogue its `turns` or its `simulated_user` say what the user says; give either `input` or one of them",
            ),
            (
                "{turns: []}",
                "suite.yaml:4:28: test_set.tests[0].turns: must be a list with at least one turn",
            ),
            (
                "{turns: [{name: a}]}",
                "suite.yaml:4:29: test_set.tests[0].turns[0].input: missing; write what the user says in this turn",
            ),
            (
                "{turns: [{input: a, metric: []}]}",
                "suite.yaml:4:40: test_set.tests[0].turns[0].metric: unknown key; did you mean \"metrics\"?",
            ),
            (
                "{input: a, stop_on_failure: true}",
                "suite.yaml:4:48: test_set.tests[0].stop_on_failure: says that the turns after a failed one are left out, and the test has no written `turns`; for the run there is attributes.stop_on_failure",
            ),
            (
                "{input: a, expected_tools: [{names: x}, 4]}",
                "suite.yaml:4:48: test_set.tests[0].expected_tools[0]: expected the name of a tool, or a mapping with `name` and `arguments`, found a mapping\n\
                 suite.yaml:4:60: test_set.tests[0].expected_tools[1]: expected the name of a tool, or a mapping with `name` and `arguments`, found the number 4",
            ),
        ],
    );
}

#[test]
fn problems_of_metrics() {
    check(
        metric,
        &[
            (
                "{}",
                "suite.yaml:5:11: metrics[0].type: missing; write what to check, for example contains or status-code",
            ),
            (
                "{type: contians}",
                "suite.yaml:5:18: metrics[0].type: unknown metric \"contians\"; did you mean \"contains\"?",
            ),
            (
                "{type: not-equals, negate: true}",
                "suite.yaml:5:30: metrics[0].negate: give either the prefix not- or `negate`, not both",
            ),
            (
                "{type: contains, value: 30}",
                "suite.yaml:5:35: metrics[0].value: expected a text, found the number 30; put quotes around it",
            ),
            (
                "{type: contains-any, value: {a: b}}",
                "suite.yaml:5:39: metrics[0].value: expected a text, found a mapping",
            ),
            (
                "{type: contains, schema: {}}",
                "suite.yaml:5:28: metrics[0].schema: does nothing for `contains`",
            ),
            (
                "{type: is-json, value: {}}",
                "suite.yaml:5:27: metrics[0].value: does nothing for `is-json`; write a JSON Schema under `schema`",
            ),
            (
                "{type: is-json, schema: x}",
                "suite.yaml:5:35: metrics[0].schema: expected a JSON Schema (a mapping), found the text \"x\"",
            ),
            (
                "{type: jsonpath}",
                "suite.yaml:5:11: metrics[0].path: missing; write a JSONPath such as $.answer",
            ),
            (
                "{type: jsonpath, path: $.a, operator: '>'}",
                "suite.yaml:5:49: metrics[0].operator: an operator needs a `value` to compare with",
            ),
            (
                "{type: levenshtein}",
                "suite.yaml:5:11: metrics[0].threshold: missing; write how many characters may differ",
            ),
            (
                "{type: f1, threshold: 80}",
                "suite.yaml:5:33: metrics[0].threshold: must lie between 0 and 1",
            ),
            (
                "{type: latency, threshold: fast}",
                "suite.yaml:5:38: metrics[0].threshold: expected a number, found the text \"fast\"",
            ),
            (
                "{type: status-code}",
                "suite.yaml:5:11: metrics[0].value: missing; write a status such as 200, or a list of them",
            ),
            (
                "{type: status-code, value: [200, ok]}",
                "suite.yaml:5:44: metrics[0].value[1]: expected a status such as 200, \"2xx\" or \"200-299\", found the text \"ok\"",
            ),
            (
                "{type: jaro-winkler, value: a}",
                "suite.yaml:5:11: metrics[0].threshold: missing; write the score to reach, from 0 to 1",
            ),
            (
                "{type: rouge-n, threshold: 0.5, n: 10}",
                "suite.yaml:5:46: metrics[0].n: an n-gram may have 9 words",
            ),
            (
                "{type: rouge-l, threshold: 0.5, n: 2}",
                "suite.yaml:5:43: metrics[0].n: does nothing for `rouge-l`",
            ),
            (
                "{type: length}",
                "suite.yaml:5:11: metrics[0].threshold: missing; write how many characters there may be, or `min` and `max`",
            ),
            (
                "{type: length, min: 5, max: 4}",
                "suite.yaml:5:39: metrics[0].max: must not be less than `min`",
            ),
            (
                "{type: word-count, min: 5, threshold: 4}",
                "suite.yaml:5:49: metrics[0].threshold: give either a threshold, or `min` and `max`",
            ),
            (
                "{type: word-count, max: 5, operator: '>'}",
                "suite.yaml:5:48: metrics[0].operator: an operator needs a `threshold`; `min` and `max` have theirs",
            ),
            (
                "{type: latency, max: 5, threshold: 5}",
                "suite.yaml:5:27: metrics[0].max: does nothing for `latency`",
            ),
            (
                "{type: header}",
                "suite.yaml:5:11: metrics[0].header: missing; write the name of a header, for example content-type",
            ),
            (
                "{type: finish-reason}",
                "suite.yaml:5:11: metrics[0].value: missing; write a word such as stop, or a list of them",
            ),
            (
                "{type: tool-call-f1, value: {name: x}}",
                "suite.yaml:5:39: metrics[0].value: expected a list of tools, found a mapping",
            ),
            (
                "{type: tool-call-f1}",
                "suite.yaml:4:20: test_set.tests[0].expected_tools: missing; the metric `tool-call-f1` (metrics[0]) compares every test with it",
            ),
            (
                "{type: assert-set, threshold: 0.5}",
                "suite.yaml:5:11: metrics[0].metrics: missing; write the metrics that belong to the set",
            ),
            (
                "{type: assert-set, metrics: []}",
                "suite.yaml:5:39: metrics[0].metrics: must be a list with at least one metric",
            ),
            (
                "{type: assert-set, metrics: [{type: is-json}], operator: '>'}",
                "suite.yaml:5:58: metrics[0].operator: does nothing for `assert-set`",
            ),
            (
                "{type: assert-set, metrics: [{type: cost}]}",
                "suite.yaml:5:40: metrics[0].metrics[0].threshold: missing; write the most the call may cost",
            ),
            (
                "{type: is-json, metrics: [{type: is-json}]}",
                "suite.yaml:5:27: metrics[0].metrics: does nothing for `is-json`",
            ),
            (
                "{type: is-json, weight: 0}",
                "suite.yaml:5:35: metrics[0].weight: must be more than 0; leave the metric out if it should not count",
            ),
            (
                "{type: is-json, severity: warn, required: true}",
                "suite.yaml:5:53: metrics[0].required: a metric with `severity: warn` counts for nothing, so it cannot be required",
            ),
        ],
    );
}

#[test]
fn a_common_metric_without_a_value_needs_an_expected_output_in_every_test() {
    assert_eq!(
        section("metrics: [{type: equals}]"),
        "suite.yaml:4:20: test_set.tests[0].expected_output: missing; the metric `equals` (metrics[0]) compares every test with it"
    );
    // A member of a set compares, too.
    assert_eq!(
        section("metrics: [{type: assert-set, metrics: [{type: is-json}, {type: bleu, threshold: 0.5}]}]"),
        "suite.yaml:4:20: test_set.tests[0].expected_output: missing; the metric `assert-set` (metrics[0]) compares every test with it"
    );
}

#[test]
fn sets_of_metrics_are_not_nested_without_end() {
    let nested = |depth: usize| {
        let (open, close) = ("{type: assert-set, metrics: [".repeat(depth), "]}".repeat(depth));
        format!("{HEAD}test_set: {{tests: [{{input: a}}]}}\nmetrics: [{open}{{type: is-json}}{close}]")
    };
    assert!(read(&nested(4)).is_ok());
    let said = refused(&nested(5));
    assert!(said.contains("sets of metrics may be nested 4 deep"), "{said}");
}

#[test]
fn problems_of_other_sections() {
    check(
        section,
        &[
            (
                "attributes: {execution_mode: batch}",
                "suite.yaml:5:30: attributes.execution_mode: unknown execution mode \"batch\": expected Parallel or Sequential",
            ),
            (
                "attributes: {batch_concurrency: 0}",
                "suite.yaml:5:33: attributes.batch_concurrency: expected a whole number of at least 1, found the number 0",
            ),
            (
                "attributes: {batch_concurrency: 2, max_concurrency: 3}",
                "suite.yaml:5:36: attributes.max_concurrency: says something else than attributes.batch_concurrency, which is the same setting; give one of them",
            ),
            (
                "attributes: {per_test_timout: 1s}",
                "suite.yaml:5:14: attributes.per_test_timout: unknown key; did you mean \"per_test_timeout\"?",
            ),
            (
                "owner: nobody",
                "suite.yaml:5:8: owner: expected an e-mail address such as qa@example.com, found \"nobody\"",
            ),
            (
                "notifications: [{type: email, to: ['a@b', 'c@d@e']}]",
                "suite.yaml:5:43: notifications[0].to[1]: expected an e-mail address such as qa@example.com, found \"c@d@e\"",
            ),
            (
                "notifications: [{type: webhook, url: x}]",
                "suite.yaml:5:24: notifications[0].type: `webhook` is part of the format but not supported by this version",
            ),
            (
                "reports: [{format: html, path: a}]",
                "suite.yaml:5:20: reports[0].format: `html` is part of the format but not supported by this version",
            ),
            (
                "reports: [{format: json, path: a}, {format: text, path: a}]",
                "suite.yaml:5:57: reports[1].path: two reports would be written to this file",
            ),
            (
                "secrets: {A: {from: hunter2}}",
                "suite.yaml:5:21: secrets.A.from: expected env:NAME or file:PATH; secrets themselves are never written here",
            ),
            (
                "secrets: {a-b: }",
                "suite.yaml:5:11: secrets.a-b: a secret is named like an environment variable: letters, digits and _",
            ),
        ],
    );
}

#[test]
fn two_ways_to_say_one_retry_setting_must_agree() {
    let text = "version: 1\nname: n\nendpoint: {url: 'https://x.test', retry: {max_attempts: 3}}\n\
                test_set: {tests: [{input: a}]}\nattributes: {invoke_max_attempts: 4}";
    assert_eq!(
        refused(text),
        "suite.yaml:5:14: attributes.invoke_max_attempts: says something else than endpoint.retry.max_attempts, \
         which is the same setting; give one of them"
    );
    assert!(read(&text.replace("attempts: 4", "attempts: 3")).is_ok());
}

#[test]
fn a_timeout_of_the_defaults_is_judged_once() {
    assert_eq!(
        refused(&format!(
            "{HEAD}test_set: {{defaults: {{timeout: 1h}}, tests: [{{input: a}}, {{input: b}}]}}"
        )),
        "suite.yaml:4:32: test_set.defaults.timeout: 1h is longer than attributes.per_test_timeout (30m)"
    );
}

#[test]
fn toml_that_nests_too_deep_is_refused() {
    let text = format!("a = {}", "[".repeat(100_000));
    let problems = read_configuration(&text, "a.toml", DocumentFormat::Toml, &Defaults::default()).unwrap_err();
    assert!(problems.to_string().starts_with("a.toml:1:"), "{problems}");
    let text = format!("[{}b]", "a.".repeat(70));
    let problems = read_configuration(&text, "a.toml", DocumentFormat::Toml, &Defaults::default()).unwrap_err();
    assert!(
        problems.to_string().contains("nested deeper than 64 levels"),
        "{problems}"
    );
}
