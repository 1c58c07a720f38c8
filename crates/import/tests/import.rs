//! Small configurations of promptfoo, and what becomes of them. Every result is accepted by everything that `config check`
//! asks.

#![allow(clippy::unwrap_used)]

mod checked;

use serde_json::{Value, json};
use testfleet_import::Fate;

use checked::{imported, notes, try_import};

#[test]
fn a_whole_configuration_is_carried_over() {
    let text = "\
description: Translations
prompts:
  - 'Convert to {{language}}: {{input}}'
providers:
  - id: openai:chat:small-model
    config: {temperature: 0, apiKey: '{{env.MY_KEY}}'}
defaultTest:
  assert:
    - {type: latency, threshold: 5000}
tests:
  - description: hello
    vars: {language: French, input: Hello}
    assert:
      - {type: icontains, value: bonjour, metric: greeting, weight: 2}
    threshold: 0.5
  - vars:
      language: [German, Spanish]
      input: [Yes, 'No']
    assert: [{type: not-contains, value: '{{input}}'}]
evaluateOptions: {maxConcurrency: 3, repeat: 2}
outputPath: [out.json, out.xml]
";
    let imported = imported(text);
    assert_eq!(notes(&imported), Vec::<String>::new());
    let document = &imported.document;
    assert_eq!(
        document["endpoint"],
        json!({
            "type": "openai-chat", "url": "https://api.openai.com/v1", "model": "small-model", "params": {"temperature": 0},
            "auth": {"type": "bearer", "token": "{{ secrets.MY_KEY }}"},
        })
    );
    assert_eq!(document["secrets"], json!({"MY_KEY": {"required": true}}));
    assert_eq!(document["attributes"], json!({"batch_concurrency": 3, "repeat": 2}));
    assert_eq!(
        document["reports"],
        json!([{"format": "json", "path": "out.json"}, {"format": "junit", "path": "out.xml"}])
    );
    let tests = document["test_set"]["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 5);
    assert_eq!(
        tests[0],
        json!({
            "description": "hello", "input": "Convert to {{vars.language}}: {{vars.input}}",
            "vars": {"language": "French", "input": "Hello"}, "threshold": 0.5,
            "metrics": [
                {"type": "latency", "threshold": 5000},
                {"type": "icontains", "name": "greeting", "value": "bonjour", "weight": 2},
            ],
        })
    );
    let combined: Vec<&Value> = tests[1..].iter().map(|test| &test["vars"]).collect();
    assert_eq!(
        combined,
        [
            &json!({"language": "German", "input": "Yes"}),
            &json!({"language": "German", "input": "No"}),
            &json!({"language": "Spanish", "input": "Yes"}),
            &json!({"language": "Spanish", "input": "No"}),
        ]
    );
    assert_eq!(tests[4]["metrics"][1], json!({"type": "not-contains", "value": "No"}));
}

#[test]
fn an_http_provider_becomes_an_endpoint() {
    let text = "\
prompts: ['{{question}}']
providers:
  - id: https
    label: staging
    config:
      url: https://example.com/chat
      method: post
      headers: {Authorization: 'Bearer {{env.TOKEN}}', X-Api-Key: abcdef, X-Team: qa}
      body: {message: '{{prompt}}', options: {short: true}}
      queryParams: {version: 2}
      transformResponse: json.choices[0].text
      maxRetries: 2
      stateful: false
tests: [{vars: {question: 'Why?'}, assert: [{type: contains, value: Because}]}]
";
    let imported = imported(text);
    assert_eq!(
        imported.document["endpoint"],
        json!({
            "url": "https://example.com/chat", "method": "POST", "name": "staging",
            "headers": {"Authorization": "Bearer {{secrets.TOKEN}}", "X-Api-Key": "{{ secrets.X_API_KEY }}", "X-Team": "qa"},
            "body": {"message": "{{input}}", "options": {"short": true}}, "query": {"version": "2"},
            "response": {"map": {"output": "$.choices[0].text"}}, "retry": {"max_attempts": 3},
        })
    );
    assert_eq!(
        notes(&imported),
        [
            "promptfooconfig.yaml:8:56: providers[0].config.headers.X-Api-Key: changed: its value looks like a secret and is not repeated; put it into the environment as X_API_KEY",
            "promptfooconfig.yaml:13:7: providers[0].config.stateful: left out: HTTP endpoints of testfleet have no such option",
        ]
    );
    assert!(!imported.yaml.contains("abcdef"));
}

#[test]
fn everything_that_is_left_out_is_named_with_its_place() {
    let text = "\
prompts: [Hello]
providers: [openai:gpt-a, openai:gpt-b, 'anthropic:messages:c']
nunjucksFilters: {}
tests:
  - assert:
      - {type: javascript, value: output.length > x}
      - {type: contains, value: x}
      - {type: contain}
  - provider: openai:gpt-b
    options: {threads: x}
    assertScoringFunction: file://score.js
  - vars: {a: 'file://*.txt'}
";
    let imported = imported(text);
    assert_eq!(
        notes(&imported),
        [
            "promptfooconfig.yaml:2:27: providers[1]: left out: a configuration has one endpoint; import \"openai:gpt-b\" by itself with `--provider 2`",
            "promptfooconfig.yaml:2:41: providers[2]: left out: a configuration has one endpoint; import \"anthropic:messages:c\" by itself with `--provider 3`",
            "promptfooconfig.yaml:3:1: nunjucksFilters: left out: configurations of testfleet have no such key",
            "promptfooconfig.yaml:6:9: tests[0].assert[0]: left out: `javascript` runs code, which tests of testfleet cannot do",
            "promptfooconfig.yaml:8:9: tests[0].assert[2]: left out: unknown metric \"contain\"; did you mean \"contains\"?",
            "promptfooconfig.yaml:9:5: tests[1].provider: left out: tests of testfleet have no such key",
            "promptfooconfig.yaml:9:5: tests[1]: changed: it has no assertion (left), so only the status of the call is checked",
            "promptfooconfig.yaml:10:15: tests[1].options.threads: left out: tests of testfleet have no such option",
            "promptfooconfig.yaml:11:5: tests[1].assertScoringFunction: left out: tests of testfleet have no such key",
            "promptfooconfig.yaml:12:5: tests[2]: left out: the variable `a`: \"*.txt\" names several files; name them one by one",
        ]
    );
    // The result says so itself.
    assert!(
        imported
            .yaml
            .contains("# - promptfooconfig.yaml:3:1: nunjucksFilters: left out")
    );
}

#[test]
fn a_provider_is_chosen_by_number_id_or_label() {
    let text = "prompts: [a]\nproviders: [openai:gpt-a, {id: 'openai:gpt-b', label: beta}, {'openai:gpt-c': {config: {seed: 1}}}]\ntests: [{assert: [is-json]}]\n";
    for (provider, model) in [
        (None, "gpt-a"),
        (Some("2"), "gpt-b"),
        (Some("beta"), "gpt-b"),
        (Some("openai:gpt-c"), "gpt-c"),
    ] {
        let imported = try_import(text, provider, &[]).unwrap();
        assert_eq!(imported.document["endpoint"]["model"], model);
    }
    assert!(
        try_import(text, Some("4"), &[])
            .unwrap_err()
            .contains("there is no provider \"4\"")
    );
}

#[test]
fn tests_and_prompts_come_from_files() {
    let text = "prompts: file://prompts.txt\nproviders: echo\ntests: [file://tests.csv, 'file://more.jsonl', file://gone.yaml]\n";
    let files = [
        ("prompts.txt", "Say {{body}}\n---\nSing {{body}}\n"),
        (
            "tests.csv",
            "body,__expected,__expected2,__metadata:tags[],__config:__expected:threshold,__metric\n\
             Hello,icontains: {{body}},fn:output == 1,\"a,b\\,c\",,tone\n\
             World,levenshtein(2):Sing World,,,9,\n",
        ),
        (
            "more.jsonl",
            "{\"vars\": {\"body\": \"x\"}, \"assert\": [{\"type\": \"is-json\"}]}\n\n",
        ),
    ];
    let imported = try_import(text, None, &files).unwrap();
    let tests = imported.document["test_set"]["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 6);
    assert_eq!(
        tests[1],
        json!({
            "input": "Sing {{vars.body}}", "vars": {"body": "Hello"}, "metadata": {"tags": ["a", "b,c"]}, "tags": {"prompt": "2"},
            "metrics": [{"type": "icontains", "name": "tone", "value": "Hello"}],
        })
    );
    assert_eq!(
        tests[2]["metrics"],
        json!([{"type": "levenshtein", "value": "Sing World", "threshold": 9.0}])
    );
    let said = notes(&imported).join("\n");
    assert!(said.contains("gone.yaml: there is no such file"), "{said}");
    assert!(said.contains("`fn:` runs code"), "{said}");
}

#[test]
fn chats_scenarios_references_and_transforms_are_carried_over() {
    let text = r#"
prompts:
  - '[{"role": "developer", "content": "Be brief"}, {"role": "user", "content": "{{ q }}"}]'
providers: [openai:chat:m]
scenarios:
  - config: [{vars: {q: one}}, {vars: {q: two}}]
    tests:
      - assert:
          - $ref: '#/assertionTemplates/list'
        options: {transform: JSON.parse(output).answer}
assertionTemplates:
  list: {type: contains-any, value: 'a,b', transform: output.items}
"#;
    let imported = imported(text);
    assert_eq!(notes(&imported), Vec::<String>::new());
    let tests = imported.document["test_set"]["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 2);
    assert_eq!(
        tests[1],
        json!({
            "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "{{ vars.q }}"}],
            "vars": {"q": "two"},
            "metrics": [{"type": "contains-any", "value": ["a", "b"], "transform": "$.answer.items"}],
        })
    );
}

#[test]
fn without_a_provider_that_can_be_carried_over_there_is_a_place_to_fill_in() {
    let imported = imported("prompts: [a]\nproviders: [file://provider.mjs]\ntests: [{assert: [{type: is-json}]}]\n");
    assert_eq!(imported.document["endpoint"]["url"], "https://endpoint.invalid/");
    assert_eq!(imported.notes.len(), 2);
    assert!(imported.notes.iter().any(|note| note.fate == Fate::Changed));
    assert!(imported.yaml.contains("# LOOK: "));
}

#[test]
fn what_is_no_such_configuration_is_refused() {
    let cases = [
        ("- a\n", "expected a configuration with `prompts`"),
        (
            "version: 1\nendpoint: {}\ntest_set: {}\n",
            "this is a configuration of testfleet already",
        ),
        ("providers: [echo]\n", "there are no `prompts` and no `tests`"),
        ("prompts: [a]\ntests: [{vars: {a: 'file://x.py'}}]\n", "no test is left"),
        (
            "prompts: ['{% for x in y %}{% endfor %}']\ntests: [{vars: {a: b}}]\n",
            "templates of testfleet have no `{% for %}`",
        ),
        ("a: [", "promptfooconfig.yaml:"),
    ];
    for (text, message) in cases {
        let said = try_import(text, None, &[]).unwrap_err();
        assert!(said.contains(message), "{text}\n{said}");
    }
}

/// Keys that people write into their files stay there: they are neither in the result nor in a note nor in an error.
#[test]
fn the_keys_of_a_file_are_repeated_nowhere() {
    const KEY: &str = "sk-kQ7zWm4Lv9xT";
    let with = |provider: &str, rest: &str| {
        format!("prompts: ['{{{{input}}}}']\n{rest}providers:\n  - {provider}\ntests: [{{vars: {{input: hi}}}}]\n")
    };
    let http = |config: &str| {
        with(
            &format!(
                "{{id: https, config: {{url: 'https://example.com/chat', method: POST, body: {{q: '{{{{prompt}}}}'}}, {config}}}}}"
            ),
            "",
        )
    };
    let texts = [
        with(&format!("{{id: 'openai:chat:small', config: {{apiKey: {KEY}}}}}"), ""),
        with(&format!("{{id: 'openai:chat:small', config: {{apiKey: [{KEY}]}}}}"), ""),
        with(
            &format!("{{id: 'openai:chat:small', config: {{apiKey: '{KEY}{{{{ x'}}}}"),
            "",
        ),
        with(
            &format!("{{id: 'openai:chat:small', env: {{OPENAI_API_KEY: {KEY}}}}}"),
            "",
        ),
        with("'openai:chat:small'", &format!("env: {{OPENAI_API_KEY: {KEY}}}\n")),
        with(
            "'openai:chat:small'",
            &format!("defaultTest: {{options: {{provider: {{id: 'openai:gpt', config: {{apiKey: {KEY}}}}}}}}}\n"),
        ),
        http(&format!(
            "headers: {{Authorization: 'Bearer {KEY}', X-Api-Key: {KEY}, Cookie: 'a={KEY}'}}"
        )),
        http(&format!("auth: {{type: bearer, token: {KEY}}}")),
        http(&format!("auth: {{type: basic, username: me, password: {KEY}}}")),
        http(&format!(
            "auth: {{type: api_key, placement: query, keyName: k, value: {KEY}}}"
        )),
        http(&format!(
            "auth: {{type: oauth, grantType: client_credentials, tokenUrl: 'https://example.com/t', clientId: me, clientSecret: {KEY}}}"
        )),
        http(&format!(
            "auth: {{type: oauth, grantType: password, username: me, password: {KEY}}}"
        )),
        http(&format!("auth: {{type: something, token: {KEY}}}")),
        http(&format!("signatureAuth: {{privateKey: {KEY}}}")),
        http(&format!("tls: {{key: {KEY}, passphrase: {KEY}}}")),
    ];
    for text in texts {
        let told = match try_import(&text, None, &[]) {
            Ok(imported) => format!(
                "{}\n{}\n{}",
                imported.document,
                imported.yaml,
                notes(&imported).join("\n")
            ),
            Err(problems) => problems,
        };
        assert!(!told.contains(KEY), "{text}\n{told}");
    }
}
