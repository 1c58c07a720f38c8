//! JSON within texts, parts of JSON, XML, headers, reasons and calls of tools.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testfleet_evaluation::{Call, Headers, Subject};

use super::{Error, Fail, Pass, expect, table};

#[test]
fn contains_json_finds_an_object_or_list_that_matches() {
    let plain = json!({"type": "contains-json"});
    let of = |schema: Value| json!({"type": "contains-json", "schema": schema});
    let city = || of(json!({"type": "object", "required": ["city"]}));
    table(&[
        (plain.clone(), json!("Sure: ```json\n{\"a\": 1}\n``` Bye"), Pass),
        (plain.clone(), json!("no [brackets or {braces"), Fail),
        (plain.clone(), json!("42"), Fail),
        (plain.clone(), json!({"a": 1}), Pass),
        (plain.clone(), json!("{\"a\": [1, 2], \"b"), Fail),
        (
            plain,
            json!(format!("{}{}!", "[".repeat(120), "1,".repeat(400_000))),
            Error,
        ),
        (city(), json!("{\"x\": 1} or {\"city\": \"Paris\"}"), Pass),
        (city(), json!("{\"x\": 1} or {\"town\": \"Paris\"}"), Fail),
        // What is within an object that does not match is not looked at.
        (city(), json!("{\"x\": {\"city\": \"Paris\"}}"), Fail),
        (of(json!({"type": "array", "minItems": 2})), json!("[1] [1, 2]"), Pass),
    ]);
    let result = expect(&city(), &Subject::of(&json!("see {\"town\": 1}")), Fail);
    assert!(result.reason.contains("the first: at the top:"), "{}", result.reason);
}

#[test]
fn json_subset_wants_what_is_named_and_lets_the_rest_be() {
    let of = |value: Value| json!({"type": "json-subset", "value": value});
    let output = || json!({"order": {"id": 7, "items": [{"name": "kettle", "n": 1}, {"name": "pot"}]}, "note": null});
    table(&[
        (of(json!({})), output(), Pass),
        (of(json!({"order": {"id": 7.0}})), output(), Pass),
        (of(json!({"order": {"id": "7"}})), output(), Fail),
        (of(json!({"note": null})), output(), Pass),
        (of(json!({"gone": null})), output(), Fail),
        (
            of(json!({"order": {"items": [{"name": "pot"}, {"n": 1}]}})),
            output(),
            Pass,
        ),
        (
            of(json!({"order": {"items": [{"name": "pot", "n": 1}]}})),
            output(),
            Fail,
        ),
        (of(json!({"order": {"items": []}})), output(), Pass),
        (of(json!({"order": []})), output(), Fail),
        (of(json!([1, 1])), json!([1]), Pass),
        // Texts that are JSON, on both sides.
        (of(json!("{\"a\": [2]}")), json!("{\"a\": [1, 2]}"), Pass),
        (of(json!("plain")), json!("\"plain\""), Pass),
        (of(json!({"a": 1})), json!("a is 1"), Fail),
        (json!({"type": "json-subset"}), json!({}), Error),
        // Lists of equal items that never fit would cost too much.
        (of(json!(vec![json!([0]); 2_000])), json!(vec![json!([1]); 2_000]), Fail),
        (
            of(json!((0..2_000).collect::<Vec<_>>())),
            json!((0..2_000).rev().collect::<Vec<_>>()),
            Pass,
        ),
        (
            of(json!((0..6_000).collect::<Vec<_>>())),
            json!((0..6_000).rev().collect::<Vec<_>>()),
            Error,
        ),
    ]);
    let result = expect(&of(json!({"order": {"id": 8}})), &Subject::of(&output()), Fail);
    assert_eq!(result.reason, "at /order/id of the output there is \"7\", not \"8\"");
    let expected = json!("{\"order\": {\"id\": 7}}");
    let output = output();
    let subject = Subject {
        expected: Some(&expected),
        ..Subject::of(&output)
    };
    expect(&json!({"type": "json-subset"}), &subject, Pass);
}

#[test]
fn is_xml_wants_one_well_formed_document() {
    let configured = json!({"type": "is-xml"});
    let xml = |text: &str| (configured.clone(), json!(text));
    let rows = [
        (xml("<a/>"), Pass),
        (
            xml(" <?xml version=\"1.0\"?>\n<a b='1'>&lt;<c/>&#252;<![CDATA[<]]></a>\n"),
            Pass,
        ),
        (xml("<a:b xmlns:a='urn:x'/>"), Pass),
        (xml(""), Fail),
        (xml("text"), Fail),
        (xml("<a>"), Fail),
        (xml("<a></b>"), Fail),
        (xml("<a/><b/>"), Fail),
        (xml("<a/> and more"), Fail),
        (xml("<a b=1/>"), Fail),
        (xml("<a b='1' b='2'/>"), Fail),
        (xml("<a>&unknown;</a>"), Fail),
        (xml("<a:b/>"), Fail),
        (xml("<!DOCTYPE a [<!ENTITY x \"xxxx\">]><a>&x;</a>"), Error),
        ((configured.clone(), json!({"a": 1})), Fail),
    ];
    for ((configured, output), expected) in rows {
        expect(&configured, &Subject::of(&output), expected);
    }
    // A document nested without end is read or refused, and never overflows the stack.
    let deep = json!(format!("{}{}", "<a>".repeat(200_000), "</a>".repeat(200_000)));
    let set = testfleet_evaluation::MetricSet::compile(&[super::metric(configured)]).unwrap();
    assert_eq!(set.evaluate(&Subject::of(&deep), || std::time::Duration::ZERO).len(), 1);
}

#[test]
fn header_looks_up_in_any_case_and_compares() {
    let headers: BTreeMap<String, String> = [
        ("content-type", "application/json; charset=utf-8"),
        ("x-remaining", " 12 "),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let output = json!("x");
    let call = Call {
        headers: Some(Headers::All(&headers)),
        ..Call::default()
    };
    for (header, operator, value, expected) in [
        ("Content-Type", None, json!(null), Pass),
        ("x-missing", None, json!(null), Fail),
        ("content-type", None, json!("application/json"), Fail),
        ("content-type", Some("contains"), json!("application/json"), Pass),
        ("x-remaining", None, json!("12"), Pass),
        ("x-remaining", None, json!(12), Pass),
        ("x-remaining", Some("!="), json!(12), Fail),
        ("x-remaining", Some(">"), json!(11.5), Pass),
        ("x-remaining", Some(">="), json!(12), Pass),
        ("x-remaining", Some("<"), json!("12"), Fail),
        ("x-remaining", Some("<="), json!(12), Pass),
        ("content-type", Some(">"), json!(1), Fail),
        ("x-missing", Some("!="), json!("a"), Fail),
    ] {
        let mut configured = json!({"type": "header", "header": header});
        if let Some(operator) = operator {
            configured["operator"] = json!(operator);
        }
        if !value.is_null() {
            configured["value"] = value;
        }
        expect(&configured, Subject::of(&output).with(call), expected);
    }
    expect(&json!({"type": "header", "header": "a"}), &Subject::of(&output), Error);
}

#[test]
fn finish_reason_is_one_of_some_words() {
    let output = json!("x");
    for (value, reason, expected) in [
        (json!("stop"), Some("stop"), Pass),
        (json!("stop"), Some("STOP"), Pass),
        (json!("stop"), Some("length"), Fail),
        (json!(["stop", "tool_calls"]), Some("tool_calls"), Pass),
        (json!("stop"), None, Error),
    ] {
        let call = Call {
            finish_reason: reason,
            ..Call::default()
        };
        let configured = json!({"type": "finish-reason", "value": value});
        expect(&configured, Subject::of(&output).with(call), expected);
    }
}

#[test]
fn goal_reached_is_what_the_simulated_user_says() {
    let output = json!("x");
    let goal = |is_reached| {
        Some(testfleet_evaluation::Goal {
            is_reached,
            reason: "it has the date",
        })
    };
    for (configured, goal, expected) in [
        (json!({"type": "goal-reached"}), goal(true), Pass),
        (json!({"type": "goal-reached"}), goal(false), Fail),
        (json!({"type": "goal-reached"}), None, Error),
    ] {
        let call = Call {
            goal,
            ..Call::default()
        };
        expect(&configured, Subject::of(&output).with(call), expected);
    }
}

#[test]
fn tool_call_f1_counts_calls_that_fit() {
    let openai = json!({"content": null, "tool_calls": [
        {"type": "function", "function": {"name": "search", "arguments": "{\"q\": \"kettle\"}"}},
        {"type": "function", "function": {"name": "book", "arguments": "{\"n\": 2}"}},
    ]});
    let anthropic = json!([
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "name": "search", "input": {"q": "kettle"}},
        {"type": "tool_use", "name": "book", "input": {"n": 2.0}},
    ]);
    let none = json!("The answer is 42.");
    for (value, score) in [
        (json!(["search", "book"]), 1.0),
        (json!(["book", "search"]), 1.0),
        (json!(["search"]), 2.0 / 3.0),
        (json!("search"), 2.0 / 3.0),
        (json!(["search", "search"]), 0.5),
        (json!(["pay"]), 0.0),
        (json!([]), 0.0),
        (json!([{"name": "book", "arguments": {"n": 2}}]), 2.0 / 3.0),
        (json!([{"name": "book", "arguments": {"n": 3}}]), 0.0),
        (json!(["book", {"name": "book", "arguments": {"n": 2}}]), 0.5),
    ] {
        let configured = json!({"type": "tool-call-f1", "value": value, "threshold": 0});
        for output in [&openai, &anthropic, &json!(openai.to_string())] {
            let result = expect(&configured, &Subject::of(output), Pass);
            assert!(
                (result.score.unwrap() - score).abs() < 1e-12,
                "{configured}: {result:?}"
            );
        }
        // What the mapping yields comes before the output.
        let call = Call {
            tool_calls: Some(&anthropic),
            ..Call::default()
        };
        let result = expect(&configured, Subject::of(&none).with(call), Pass);
        assert!(
            (result.score.unwrap() - score).abs() < 1e-12,
            "{configured}: {result:?}"
        );
    }
    table(&[
        (json!({"type": "tool-call-f1", "value": []}), none.clone(), Pass),
        (json!({"type": "tool-call-f1", "value": ["search"]}), none, Fail),
        (
            json!({"type": "tool-call-f1", "value": ["search"]}),
            openai.clone(),
            Fail,
        ),
        (
            json!({"type": "tool-call-f1", "value": ["search", "book"]}),
            openai,
            Pass,
        ),
        (
            json!({"type": "tool-call-f1", "value": ["a"]}),
            json!({"name": "a"}),
            Fail,
        ),
        (
            json!({"type": "tool-call-f1", "value": ["a"]}),
            json!({"tool_calls": null}),
            Fail,
        ),
    ]);
    let many = json!({"type": "tool-call-f1", "value": vec!["a"; 2_000]});
    expect(&many, &Subject::of(&json!(vec!["b"; 2_000])), Error);
}

#[test]
fn tool_call_f1_compares_with_what_the_test_expects() {
    let configured = json!({"type": "tool-call-f1"});
    let output = json!([{"name": "search", "arguments": {"q": "kettle"}}]);
    let with = |tools: &[serde_json::Value], says| {
        let call = Call {
            expected_tools: Some(tools),
            ..Call::default()
        };
        expect(&configured, Subject::of(&output).with(call), says);
    };
    with(&[json!("search")], Pass);
    with(&[json!({"name": "search", "arguments": {"q": "kettle"}})], Pass);
    with(&[json!({"name": "search", "arguments": {"q": "pot"}})], Fail);
    with(&[], Fail);
    with(&[json!(1)], Error);
    expect(&configured, &Subject::of(&output), Error);
}
