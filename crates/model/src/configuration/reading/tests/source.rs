//! Tests from files.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::configuration::reading::{Problems, SourceTest, read_source};
use crate::configuration::{Columns, Source, TestCase, TestDefaults};

fn source(file: &str, columns: &[(&str, &str)]) -> Source {
    let columns = columns
        .iter()
        .map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned()));
    Source {
        file: file.to_owned(),
        format: None,
        delimiter: None,
        columns: Columns(columns.collect()),
        render: false,
    }
}

/// The tests of a file, and what is said about records that are none.
fn read(file: &str, bytes: &[u8], columns: &[(&str, &str)]) -> (Vec<SourceTest>, Vec<String>) {
    let source = source(file, columns);
    let mut said = Vec::new();
    let mut tests = Vec::new();
    match read_source(bytes, file, &source, &TestDefaults::default()) {
        Err(problems) => said.extend(problems.into_iter().map(|problem| problem.to_string())),
        Ok(read) => {
            for test in read {
                match test {
                    Ok(test) => tests.push(test),
                    Err(problems) => said.extend(problems.into_iter().map(|problem| problem.to_string())),
                }
            }
        }
    }
    (tests, said)
}

fn one(file: &str, text: &str) -> TestCase {
    let (mut tests, said) = read(file, text.as_bytes(), &[]);
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(tests.len(), 1);
    tests.remove(0).test
}

fn said(file: &str, text: &str, columns: &[(&str, &str)]) -> Vec<String> {
    read(file, text.as_bytes(), columns).1
}

#[test]
fn json_lines_take_a_bom_crlf_and_empty_lines() {
    let (tests, said) = read(
        "a.jsonl",
        b"\xef\xbb\xbf{\"id\": 7, \"input\": \"a\"}\r\n\r\n  \n{\"input\": 42}",
        &[],
    );
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(tests[0].test.id, "7");
    assert_eq!(tests[1].test.input.as_deref(), Some("42"));
    assert_eq!((tests[0].position.line, tests[1].position.line), (1, 4));
    assert!(!tests[0].test.render);
}

#[test]
fn a_bad_record_does_not_hide_the_others() {
    let text = "{\"input\": \"a\"}\n{\"input\": }\n[1]\n{\"x\": 1, \"threshold\": 3}\n{\"input\": \"b\"}\n";
    let (tests, said) = read("a.jsonl", text.as_bytes(), &[]);
    assert_eq!(tests.len(), 2);
    assert_eq!(
        said,
        [
            "a.jsonl:2:11: not valid JSON: expected a value, found '}'",
            "a.jsonl:3:1: expected a test (a mapping), found a list",
            "a.jsonl:4:23: threshold: must lie between 0 and 1, as the mean of the scores does",
        ]
    );
}

#[test]
fn unknown_fields_become_vars() {
    let test = one(
        "a.jsonl",
        "{\"input\": \"a\", \"level\": 3, \"vars\": {\"x\": 1}, \"actual_output\": \"o\", \"gone\": null}",
    );
    assert_eq!(
        Value::from(test.vars),
        json!({"level": 3, "x": 1, "actual_output": "o"})
    );
}

#[test]
fn names_of_other_tools_are_taken_as_they_are() {
    let expected = |text: &str| {
        let test = one("a.jsonl", text);
        (test.input.unwrap_or_default(), test.expected_output.unwrap_or_default())
    };
    let both = ("q".to_owned(), json!("a"));
    assert_eq!(expected("{\"input\": \"q\", \"expected_output\": \"a\"}"), both);
    assert_eq!(expected("{\"input\": \"q\", \"target\": \"a\"}"), both);
    assert_eq!(expected("{\"user_input\": \"q\", \"reference\": \"a\"}"), both);
    assert_eq!(
        expected("{\"prompt_content\": \"q\", \"expected_response\": \"a\"}"),
        both
    );
    let ragas = one(
        "a.jsonl",
        "{\"user_input\": \"q\", \"retrieved_contexts\": [\"c\", \"d\"]}",
    );
    assert_eq!(ragas.context, ["c", "d"]);
}

#[test]
fn a_list_of_messages_as_input_is_a_conversation() {
    let test = one(
        "a.jsonl",
        "{\"input\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"u\"}], \"target\": [\"x\", \"y\"]}",
    );
    assert_eq!(test.messages.unwrap().len(), 2);
    assert_eq!(test.input.as_deref(), Some("u"));
    assert_eq!(test.expected_output, Some(json!(["x", "y"])));
}

#[test]
fn columns_overrule_names() {
    let text = "{\"input\": \"system text\", \"q\": \"the question\", \"group\": \"g\"}";
    let (tests, said) = read(
        "a.jsonl",
        text.as_bytes(),
        &[("input", "q"), ("vars.group", "group"), ("tags.of", "group")],
    );
    assert!(said.is_empty(), "{said:?}");
    let test = &tests[0].test;
    assert_eq!(test.input.as_deref(), Some("the question"));
    assert_eq!(
        Value::from(test.vars.clone()),
        json!({"input": "system text", "group": "g"})
    );
    assert_eq!(test.tags["of"], "g");
}

#[test]
fn a_column_that_is_not_there_is_an_error() {
    let columns = [("input", "qestion")];
    assert_eq!(
        said("a.csv", "question,answer\na,b\n", &columns),
        ["a.csv:1:1: there is no column \"qestion\" for `input`; the file has question, answer"]
    );
    assert_eq!(
        said("a.jsonl", "{\"question\": \"a\"}\n", &columns),
        ["a.jsonl:1:1: columns.input: no record has a field \"qestion\""]
    );
}

#[test]
fn fields_of_the_format_that_are_not_supported_are_never_ignored() {
    assert_eq!(
        said("a.jsonl", "{\"input\": \"a\", \"weight\": 3}", &[]),
        [
            "a.jsonl:1:16: weight: `weight` is part of the format but not supported by this version; \
          if this is data of yours, say so with `columns: { vars.weight: weight }`"
        ]
    );
    assert_eq!(
        said("a.jsonl", "{\"input\": \"a\", \"user_input\": \"b\"}", &[]),
        ["a.jsonl:1:16: user_input: `input` is given by another field of this record already; choose with `columns`"]
    );
    assert_eq!(
        said("a.csv", "x,__provider\na,b\n", &[]),
        [
            "a.csv:2:1: __provider: this column of promptfoo is not supported; remove it, or rename it to make it one of the `vars`"
        ]
    );
}

#[test]
fn csv_of_promptfoo_becomes_tests() {
    let text = "topic,__expected1,__expected2,__description,__metadata:area,__metadata:all[],__threshold,__metric,__config:__expected2:threshold\r\n\
                \"a, b\",contains: x,levenshtein(9):y,what,tech,\"p,q\\,r\",0.5,name,2\r\n\r\n";
    let test = one("a.csv", text);
    assert_eq!(Value::from(test.vars), json!({"topic": "a, b"}));
    assert_eq!(test.description.as_deref(), Some("what"));
    assert_eq!(Value::from(test.metadata), json!({"area": "tech", "all": ["p", "q,r"]}));
    assert_eq!(test.threshold, Some(0.5));
    assert_eq!(
        serde_json::to_value(test.metrics).unwrap(),
        json!([
            {"type": "contains", "value": "x", "name": "name"},
            {"type": "levenshtein", "value": "y", "threshold": 2.0, "name": "name"}
        ])
    );
}

fn separated(file: &str, delimiter: Option<char>, text: &str) -> Result<Vec<TestCase>, Problems> {
    let source = Source {
        delimiter,
        ..source(file, &[])
    };
    read_source(text.as_bytes(), file, &source, &TestDefaults::default())?
        .map(|read| read.map(|read| read.test))
        .collect()
}

#[test]
fn cells_may_be_separated_by_something_else_than_a_comma() {
    for (file, delimiter, text) in [
        ("a.csv", Some(';'), "input;expected_output\n\"a;b\";c,d\n"),
        ("a.csv", Some('|'), "input|expected_output\na;b|c,d\n"),
        ("a.csv", Some('\t'), "input\texpected_output\na;b\tc,d\n"),
        ("a.TSV", None, "input\texpected_output\na;b\tc,d\n"),
    ] {
        let tests = separated(file, delimiter, text).unwrap();
        assert_eq!(tests[0].input.as_deref(), Some("a;b"), "{file} {delimiter:?}");
        assert_eq!(tests[0].expected_output, Some(json!("c,d")), "{file} {delimiter:?}");
    }
    let said = separated("a.tsv", None, "input;expected_output\na;b\n").unwrap_err();
    assert_eq!(
        said.to_string(),
        "a.tsv:1:1: the columns are separated by semicolons; say so with `delimiter: \";\"`"
    );
}

#[test]
fn conversations_of_other_tools_become_dialogues() {
    let ragas = one(
        "a.jsonl",
        r#"{"user_input": [{"content": "Hi", "type": "human"}, {"content": "Hello", "type": "ai", "tool_calls": [{"name": "greet", "args": {}}]},
            {"content": "ok", "type": "tool"}, {"content": "Bye", "type": "human"}],
            "reference": "Goodbye", "reference_tool_calls": [{"name": "greet", "args": {"loud": true}}]}"#
            .replace('\n', "")
            .as_str(),
    );
    let inputs = |test: &TestCase| test.turns.iter().map(|turn| turn.input.clone()).collect::<Vec<_>>();
    assert_eq!(inputs(&ragas), ["Hi", "Bye"]);
    assert_eq!(ragas.expected_output, Some(json!("Goodbye")));
    assert_eq!(
        ragas.expected_tools,
        Some(vec![json!({"name": "greet", "arguments": {"loud": true}})])
    );
    assert_eq!(Value::from(ragas.vars)["user_input"][1]["content"], "Hello");
    let recorded = one(
        "a.jsonl",
        r#"{"turns": [{"role": "user", "content": "Hi", "user_id": null}, {"role": "assistant", "content": "Hello"}], "scenario": "s", "expected_outcome": "o"}"#,
    );
    assert_eq!(inputs(&recorded), ["Hi"]);
    assert_eq!(Value::from(recorded.vars.clone())["turns"][1]["content"], "Hello");
    assert_eq!(Value::from(recorded.vars)["scenario"], "s");
    let golden = one(
        "a.jsonl",
        r#"{"scenario": "A customer wants a refund.", "expected_outcome": "The refund is granted.", "user_description": "Is in a hurry.", "turns": null, "context": ["c"]}"#,
    );
    let user = golden.simulated_user.unwrap();
    assert_eq!(user.goal, "The refund is granted.");
    assert_eq!(
        user.instructions.as_deref(),
        Some("A customer wants a refund.\nIs in a hurry.")
    );
    assert_eq!((golden.context, golden.vars.len()), (vec!["c".to_owned()], 0));
    // Messages of ours, turns of ours, and data that only has such a name.
    let ours = one("a.jsonl", r#"{"user_input": [{"role": "user", "content": "Hi"}]}"#);
    assert_eq!((ours.messages.map(|all| all.len()), ours.turns.len()), (Some(1), 0));
    let ours = one("a.jsonl", r#"{"turns": ["Hi", {"input": "Bye"}]}"#);
    assert_eq!(inputs(&ours), ["Hi", "Bye"]);
    let data = one("a.jsonl", r#"{"input": "q", "scenario": "s", "expected_outcome": "o"}"#);
    assert_eq!(
        Value::from(data.vars),
        json!({"scenario": "s", "expected_outcome": "o"})
    );
}

#[test]
fn a_conversation_in_which_the_user_says_nothing_is_refused() {
    assert_eq!(
        said(
            "a.jsonl",
            r#"{"turns": [{"role": "assistant", "content": "Hello"}]}"#,
            &[]
        ),
        [
            "a.jsonl:1:2: turns: none of these messages is of the user (`role: user`), so there is nothing to say in a dialogue"
        ]
    );
}

#[test]
fn a_threshold_of_a_metric_without_one_names_its_column() {
    let text = "x,__expected1,__expected2,__config:__expected1:threshold,__config:__expected2:threshold\n\
                a,not-contains:y,levenshtein:y,0.9,2\n";
    assert_eq!(
        said("a.csv", text, &[]),
        ["a.csv:2:1: __config:__expected1:threshold: does nothing for the metric of this column; leave the cell empty"]
    );
}

#[test]
fn csv_cells_are_texts_except_where_a_field_is_something_else() {
    let test = one(
        "a.csv",
        "id,input,expected_output,context,tags,skip,empty,timeout\n007,42,true,\"[\"\"c\"\"]\",\"{\"\"n\"\": 1}\",TRUE,,5s\n",
    );
    assert_eq!((test.id.as_str(), test.input.as_deref()), ("007", Some("42")));
    assert_eq!(test.expected_output, Some(json!("true")));
    assert_eq!(
        (test.context, test.tags["n"].as_str(), test.skip),
        (vec!["c".to_owned()], "1", true)
    );
    assert_eq!(Value::from(test.vars), json!({"empty": ""}));
}

#[test]
fn problems_of_csv_name_the_line() {
    let text = "input,threshold\n\"two\nlines\",0.1\nb\nc,high\n";
    assert_eq!(
        said("a.csv", text, &[]),
        [
            "a.csv:4:1: 1 cell where the header has 2 cells; is a text with a separator or a line break in it without quotation marks, or a quotation mark not closed?",
            "a.csv:5:1: threshold: expected a number, found the text \"high\"",
        ]
    );
    assert_eq!(
        said("a.csv", "", &[]),
        ["a.csv:1:1: the file is empty; its first line must name the columns"]
    );
    assert_eq!(
        said("a.csv", "a;b\n1;2\n", &[]),
        ["a.csv:1:1: the columns are separated by semicolons; say so with `delimiter: \";\"`"]
    );
    assert_eq!(
        said("a.csv", "a,a\n1,2\n", &[]),
        ["a.csv:1:1: there are two columns called \"a\""]
    );
}

#[test]
fn lists_of_json_and_yaml_are_read_whole() {
    let (tests, _) = read("a.json", b"[{\"input\": \"a\"},\n {\"input\": \"b\"}]", &[]);
    assert_eq!(
        (tests.len(), tests[1].position.line, tests[1].position.column),
        (2, 2, 2)
    );
    let yaml = "- description: d\n  vars: {x: 1}\n  assert:\n    - {type: contains, value: y}\n- input: z\n";
    let (tests, complaints) = read("a.yaml", yaml.as_bytes(), &[]);
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(tests[0].test.metrics.len(), 1);
    assert_eq!(
        said("a.json", "{}", &[]),
        ["a.json:1:1: expected a list of tests, found a mapping"]
    );
}

#[test]
fn defaults_of_the_set_are_merged_and_data_is_not_rendered_unless_the_source_says_so() {
    let defaults: TestDefaults =
        serde_json::from_value(json!({"vars": {"m": 1, "x": 1}, "tags": {"t": "d"}, "timeout": "5s"})).unwrap();
    let mut source = source("a.jsonl", &[]);
    source.render = true;
    let text: &[u8] = b"{\"input\": \"a\", \"x\": 2}";
    let test = read_source(text, "a.jsonl", &source, &defaults)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .test;
    assert_eq!(Value::from(test.vars), json!({"m": 1, "x": 2}));
    assert!(test.render && test.tags["t"] == "d" && test.timeout.is_some());
}

/// Makes lines only as they are read.
struct Endless {
    line: Vec<u8>,
    used: usize,
    lines: std::rc::Rc<std::cell::Cell<usize>>,
}

impl std::io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.used == self.line.len() {
            self.lines.set(self.lines.get() + 1);
            self.used = 0;
        }
        let length = buffer.len().min(self.line.len() - self.used);
        buffer[..length].copy_from_slice(&self.line[self.used..self.used + length]);
        self.used += length;
        Ok(length)
    }
}

#[test]
fn lines_and_rows_are_read_one_at_a_time() {
    for (file, line) in [("a.jsonl", "{\"input\": \"a\"}\n"), ("a.csv", "input\n")] {
        let lines = std::rc::Rc::default();
        let endless = Endless {
            line: line.into(),
            used: 0,
            lines: std::rc::Rc::clone(&lines),
        };
        let source = source(file, &[]);
        let defaults = TestDefaults::default();
        let mut tests = read_source(std::io::BufReader::new(endless), file, &source, &defaults).unwrap();
        for _ in 0..1000 {
            assert!(tests.next().unwrap().is_ok());
        }
        assert!(lines.get() < 1010, "{file}: {} lines read for 1000 tests", lines.get());
    }
}

/// Our name, their name.
type Mapped<'c> = &'c [(&'c str, &'c str)];

/// The directory with public test sets, which is not part of the project: these tests run where somebody names one.
fn shared_data() -> Option<PathBuf> {
    std::env::var_os("TESTFLEET_SHARED_DATA")
        .filter(|directory| !directory.is_empty())
        .map(PathBuf::from)
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn public_test_sets_load_with_no_more_than_a_columns_mapping() {
    let Some(directory) = shared_data() else {
        return eprintln!("skipped: no directory with public test sets; name one in TESTFLEET_SHARED_DATA");
    };
    let qa = [("input", "question"), ("expected_output", "answer")];
    let popularity = [("input", "question"), ("expected_output", "answer_matching_behavior")];
    let sets: [(&str, usize, Mapped<'_>); 5] = [
        ("biology_qa.jsonl", 20, &qa),
        ("popularity.jsonl", 100, &popularity),
        ("theory_of_mind.jsonl", 100, &[]),
        ("security_guide.jsonl", 16, &[]),
        ("bias_detection.jsonl", 100, &[]),
    ];
    for (file, count, columns) in sets {
        let bytes = std::fs::read(directory.join(file)).unwrap();
        let (tests, said) = read(file, &bytes, columns);
        assert!(said.is_empty(), "{said:?}");
        assert_eq!(tests.len(), count, "{file}");
        for SourceTest { test, .. } in tests {
            assert!(
                test.input.is_some() && test.expected_output.is_some(),
                "{file}: {test:?}"
            );
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn public_csv_files_of_promptfoo_load_or_say_why_not() {
    let Some(directory) = shared_data() else {
        return eprintln!("skipped: no directory with public test sets; name one in TESTFLEET_SHARED_DATA");
    };
    let cases = [
        ("assistant-cli.csv", 10, ""),
        ("simple-csv.csv", 4, ""),
        ("simple-test.csv", 1, "__expected: `fn:` runs code"),
        ("eval-custom-grader-csv.csv", 0, "__expected: `javascript:` runs code"),
        (
            "config-csv-metadata.csv",
            0,
            "__config:__expected:threshold: does nothing for the metric of this column",
        ),
    ];
    for (file, count, reason) in cases {
        let bytes = std::fs::read(directory.join("suites/promptfoo/examples").join(file)).unwrap();
        let (tests, said) = read(file, &bytes, &[]);
        assert_eq!(tests.len(), count, "{file}: {said:?}");
        assert_eq!(said.is_empty(), reason.is_empty(), "{file}: {said:?}");
        assert!(
            said.first().is_none_or(|said| said.contains(reason)),
            "{file}: {said:?}"
        );
        assert!(
            said.iter().all(|said| !said.contains("no such assertion")),
            "{file}: {said:?}"
        );
    }
}

#[test]
fn documents_of_other_tools_fill_the_context_where_nothing_better_does() {
    let deepeval = one(
        "a.jsonl",
        r#"{"input": "q", "actual_output": "a", "retrieval_context": ["c"], "tools_called": ["t"]}"#,
    );
    assert_eq!(deepeval.context, ["c"]);
    assert_eq!(
        Value::from(deepeval.vars),
        json!({"actual_output": "a", "tools_called": ["t"]})
    );
    let both = one(
        "a.jsonl",
        r#"{"input": "q", "retrieval_context": ["r"], "context": ["c"]}"#,
    );
    assert_eq!(both.context, ["c"]);
    assert_eq!(Value::from(both.vars), json!({"retrieval_context": ["r"]}));
    let ragas = one(
        "a.jsonl",
        r#"{"user_input": "q", "reference": "a", "response": "b", "retrieved_contexts": ["x"], "reference_contexts": ["y"]}"#,
    );
    assert_eq!(ragas.context, ["x"]);
    assert_eq!(
        Value::from(ragas.vars),
        json!({"response": "b", "reference_contexts": ["y"]})
    );
    let reference = one(
        "a.jsonl",
        r#"{"user_input": "q", "reference_contexts": ["y"], "retrieved_contexts": null}"#,
    );
    assert_eq!(reference.context, ["y"]);
}

#[test]
fn records_of_rhesis_bring_their_tags_and_others_keep_those_names_as_variables() {
    let rhesis = one(
        "a.csv",
        "prompt_content,expected_response,category,topic,behavior\nq,a,safety,,Refusal\n",
    );
    assert_eq!(
        (rhesis.input.as_deref(), rhesis.expected_output),
        (Some("q"), Some(json!("a")))
    );
    let tags: Vec<_> = rhesis
        .tags
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(tags, [("behavior", "Refusal"), ("category", "safety")]);
    let other = one("a.csv", "topic,category\ntea,x\n");
    assert_eq!(Value::from(other.vars), json!({"topic": "tea", "category": "x"}));
}

#[test]
fn assertions_of_promptfoo_in_records_have_our_names() {
    let text = r#"[{"vars": {"a": 1}, "assert": [
        {"type": "is-json", "value": {"type": "object"}, "metric": "shape"},
        {"type": "assert-set", "threshold": 0.5, "assert": [{"type": "contains", "value": "x", "metric": "has x"}]}]}]"#;
    let test = one("a.json", text);
    assert_eq!(test.metrics[0].name.as_deref(), Some("shape"));
    assert_eq!(test.metrics[0].schema, Some(json!({"type": "object"})));
    assert_eq!(test.metrics[1].metrics[0].name.as_deref(), Some("has x"));
}
