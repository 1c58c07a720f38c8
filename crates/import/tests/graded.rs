//! Assertions that somebody grades: what they become, who is asked, and what they are shown.

#![allow(clippy::unwrap_used)]

mod checked;

use serde_json::{Value, json};

use checked::{imported, notes, try_import};

const HEAD: &str = "\
prompts: ['{{question}}']
providers: [{id: 'https://api.example.com/ask', config: {body: {q: '{{prompt}}'}, transformResponse: json.data}}]
";

/// A configuration with one test that has these assertions.
fn suite(more: &str, assertions: &str) -> String {
    format!(
        "{HEAD}{more}tests:\n  - vars: {{question: 'Why?', context: The sky scatters blue light., who: Ada}}\n    assert:\n{assertions}"
    )
}

fn metrics(text: &str) -> Value {
    imported(text).document["test_set"]["tests"][0]["metrics"].clone()
}

#[test]
fn each_kind_becomes_the_metric_it_is() {
    let text = suite(
        "defaultTest: {options: {provider: 'openai:gpt-4.1'}}\n",
        "      - {type: llm-rubric, value: 'Kind to {{who}}', weight: 2, metric: tone}
      - {type: not-llm-rubric, value: Rude, threshold: 0.8}
      - {type: llm-rubric, value: {a: 1}}
      - {type: model-graded-closedqa, value: Is short}
      - {type: factuality, value: It is blue.}
      - {type: model-graded-factuality, value: It is blue.}
      - {type: g-eval, value: Coherent}
      - {type: g-eval, value: [Coherent, Short], threshold: 0.5, metric: style}
      - {type: answer-relevance}
      - {type: context-faithfulness, threshold: 0.9}
      - {type: context-recall, value: It scatters., threshold: 0.9}
",
    );
    let judged = |mut metric: Value| {
        metric["model"] = json!("gpt-4.1");
        metric
    };
    assert_eq!(
        metrics(&text),
        json!([
            judged(json!({"type": "llm-rubric", "name": "tone", "value": "Kind to Ada", "weight": 2})),
            judged(json!({"type": "not-llm-rubric", "value": "Rude", "threshold": 0.8})),
            judged(json!({"type": "llm-rubric", "value": "{\"a\":1}"})),
            judged(json!({"type": "llm-rubric", "value": "Is short"})),
            judged(json!({"type": "factuality", "value": "It is blue."})),
            judged(json!({"type": "factuality", "value": "It is blue."})),
            judged(json!({"type": "g-eval", "value": "Coherent", "threshold": 0.7})),
            {
                "type": "assert-set", "name": "style", "threshold": 0.5,
                "metrics": [
                    judged(json!({"type": "g-eval", "value": "Coherent"})),
                    judged(json!({"type": "g-eval", "value": "Short"})),
                ],
            },
            judged(json!({"type": "answer-relevancy", "threshold": 0.7})),
            judged(json!({"type": "faithfulness", "threshold": 0.9})),
            judged(json!({"type": "contextual-recall", "value": "It scatters.", "threshold": 0.9})),
        ])
    );
    let imported = imported(&text);
    assert_eq!(
        imported.document["models"],
        json!({"gpt-4.1": {"base_url": "https://api.openai.com/v1", "model": "gpt-4.1", "api_key": "{{ secrets.OPENAI_API_KEY }}"}})
    );
    assert_eq!(
        imported.document["secrets"],
        json!({"OPENAI_API_KEY": {"required": true}})
    );
    assert_eq!(
        imported.document["test_set"]["tests"][0]["context"],
        json!(["The sky scatters blue light."])
    );
    let said = notes(&imported);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("tests[0].assert[8]: changed: `answer-relevance` there"),
        "{said:?}"
    );
}

#[test]
fn the_grader_is_the_nearest_one_and_embeddings_have_their_own() {
    let text = "\
prompts: [Hello]
providers: [echo]
defaultTest:
  options:
    provider:
      text: {id: 'openai:chat:judge', config: {apiBaseUrl: 'http://127.0.0.1:9/v1', apiKeyRequired: false, temperature: 0, showThinking: false}}
      embedding: 'openai:embeddings:small'
tests:
  - assert: [{type: similar, value: a}, {type: llm-rubric, value: a}]
  - options: {provider: 'anthropic:messages:claude-x'}
    assert:
      - {type: llm-rubric, value: a}
      - {type: llm-rubric, value: a, provider: {id: 'azure:chat:dep', config: {apiHost: my.openai.azure.com}}}
      - {type: similar, value: a, provider: 'ollama:embeddings:nomic'}
";
    let imported = imported(text);
    assert_eq!(
        imported.document["models"],
        json!({
            "small": {"base_url": "https://api.openai.com/v1", "model": "small", "api_key": "{{ secrets.OPENAI_API_KEY }}"},
            "judge": {"base_url": "http://127.0.0.1:9/v1", "model": "judge", "params": {"temperature": 0}},
            "claude-x": {"base_url": "https://api.anthropic.com/v1", "model": "claude-x", "api_key": "{{ secrets.ANTHROPIC_API_KEY }}"},
            "dep": {
                "base_url": "https://my.openai.azure.com/openai/deployments/dep?api-version=2024-12-01-preview", "model": "dep",
                "headers": {"api-key": "{{ secrets.AZURE_API_KEY }}"},
            },
            "nomic": {"base_url": "http://localhost:11434/v1", "model": "nomic"},
        })
    );
    let models: Vec<Vec<&str>> = (0..2)
        .map(|test| {
            let metrics = imported.document["test_set"]["tests"][test]["metrics"]
                .as_array()
                .unwrap();
            metrics.iter().map(|metric| metric["model"].as_str().unwrap()).collect()
        })
        .collect();
    assert_eq!(models, [vec!["small", "judge"], vec!["claude-x", "dep", "nomic"]]);
    let said = notes(&imported);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("tests[1].options.provider: changed: it is asked over the API of its maker"),
        "{said:?}"
    );
}

#[test]
fn where_no_grader_is_named_it_is_the_one_of_promptfoo_and_that_is_said_once() {
    let imported = imported(&suite(
        "",
        "      - {type: llm-rubric, value: a}\n      - {type: llm-rubric, value: b}\n      - {type: similar, value: c}\n",
    ));
    assert_eq!(
        imported.document["models"],
        json!({
            "gpt-4.1-2025-04-14": {
                "base_url": "https://api.openai.com/v1", "model": "gpt-4.1-2025-04-14", "api_key": "{{ secrets.OPENAI_API_KEY }}",
                "params": {"temperature": 0},
            },
            "text-embedding-3-large": {
                "base_url": "https://api.openai.com/v1", "model": "text-embedding-3-large", "api_key": "{{ secrets.OPENAI_API_KEY }}",
            },
        })
    );
    let said = notes(&imported);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("changed: no grader is named"), "{said:?}");
    assert!(
        said[1].contains("changed: no model for embeddings is named"),
        "{said:?}"
    );
}

#[test]
fn a_grader_at_no_known_server_is_a_place_to_fill_in() {
    for provider in [
        "file://grader.py",
        "bedrock:claude",
        "{id: 'python:grader.py', config: {a: 1}}",
        "{}",
    ] {
        let text = suite(
            "",
            &format!("      - {{type: llm-rubric, value: a, provider: {provider}}}\n"),
        );
        let imported = imported(&text);
        let models = imported.document["models"].as_object().unwrap();
        assert_eq!(models.len(), 1, "{provider}");
        let (name, model) = models.iter().next().unwrap();
        assert_eq!(model["base_url"], "https://grader.invalid/v1", "{provider}");
        let said = notes(&imported);
        assert_eq!(said.len(), 1, "{provider}: {said:?}");
        assert!(
            said[0].contains(&format!("write the model to ask under `models.{name}`")),
            "{said:?}"
        );
        assert!(imported.yaml.contains("  # LOOK: "), "{}", imported.yaml);
    }
    let text = suite("", "      - {type: similar, value: a, provider: 'openai:gpt-4.1'}\n");
    let said = notes(&imported(&text));
    assert!(
        said.iter()
            .any(|note| note.contains("\"openai:gpt-4.1\" makes no embeddings")),
        "{said:?}"
    );
}

#[test]
fn the_words_of_a_grader_are_the_prompt_of_its_metric() {
    let text = suite(
        "defaultTest:\n  options: {provider: 'openai:m', rubricPrompt: 'Grade {{output}} by {{rubric}} for {{who}}'}\n",
        "      - {type: llm-rubric, value: Kind}
      - {type: llm-rubric, value: Kind, rubricPrompt: 'Is {{output}} kind?'}
      - {type: g-eval, value: Kind, rubricPrompt: {evaluate: '{{steps}} {{output}}'}}
      - type: factuality
        value: Blue
        rubricPrompt: '[{\"role\": \"system\", \"content\": \"Compare {{ideal}} and {{completion}}\"}]'
      - {type: context-faithfulness}
",
    );
    let imported = imported(&text);
    assert_eq!(
        imported.document["test_set"]["tests"][0]["metrics"],
        json!([
            {"type": "llm-rubric", "value": "Kind", "model": "m", "prompt": "Grade {{output}} by {{criteria}} for {{vars.who}}"},
            {"type": "llm-rubric", "model": "m", "prompt": "Is {{output}} kind?"},
            {"type": "g-eval", "value": "Kind", "threshold": 0.7, "model": "m", "prompt": "{{steps}} {{output}}"},
            {
                "type": "factuality", "value": "Blue", "model": "m",
                "prompt": [{"role": "system", "content": "Compare {{expected_output}} and {{output}}"}],
            },
            {"type": "faithfulness", "model": "m"},
        ])
    );
    let said = notes(&imported);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("defaultTest.options.rubricPrompt: changed: `faithfulness` asks several questions"),
        "{said:?}"
    );
}

#[test]
fn the_scores_of_relations_say_which_pass() {
    let text = suite(
        "defaultTest: {options: {provider: 'openai:m', factuality: {superset: 0, differButFactual: 0.5}}}\n",
        "      - {type: factuality, value: Blue}\n",
    );
    let imported = imported(&text);
    assert_eq!(
        imported.document["test_set"]["tests"][0]["metrics"][0]["passing_categories"],
        json!(["subset", "same", "immaterial"])
    );
    assert!(notes(&imported)[0].contains("its score is 1 or 0"));
}

#[test]
fn a_context_comes_from_a_variable_or_from_the_answer() {
    let text = suite(
        "defaultTest: {options: {provider: 'openai:m'}}\n",
        "      - {type: context-faithfulness, contextTransform: 'output.documents.map(d => d.text).join(\"\\n\")'}
      - {type: context-recall, value: Blue, contextTransform: output.other}
      - {type: context-recall, value: Blue, contextTransform: context.vars.who}
      - {type: context-faithfulness, contextTransform: 'context.metadata.docs.join(\" \")'}
",
    );
    let imported = imported(&text);
    assert_eq!(
        imported.document["endpoint"]["response"],
        json!({"map": {"output": "$.data", "context": "$.data.documents[*].text"}})
    );
    let test = &imported.document["test_set"]["tests"][0];
    assert_eq!(
        (test["metrics"].as_array().unwrap().len(), &test["context"]),
        (2, &json!(["Ada"]))
    );
    let said = notes(&imported).join("\n");
    assert!(
        said.contains("the context is read from $.data.documents[*].text already, and here from $.data.other"),
        "{said}"
    );
    assert!(said.contains("its contextTransform runs code"), "{said}");
    let without = "prompts: [a]\nproviders: [echo]\ntests: [{assert: [{type: context-faithfulness, provider: 'openai:m'}, is-json]}]\n";
    let said = notes(&checked::imported(without)).join("\n");
    assert!(said.contains("left out: there is no context"), "{said}");
    assert!(!said.contains("grader"), "{said}");
}

#[test]
fn what_was_asked_is_the_query_where_there_is_one() {
    let text = |providers: &str, prompt: &str| {
        format!(
            "prompts: ['{prompt}']\nproviders: {providers}\ndefaultTest: {{options: {{provider: 'openai:m'}}}}\n\
             tests: [{{vars: {{query: 'Why?', context: Blue}}, assert: [{{type: context-faithfulness}}]}}]\n"
        )
    };
    let chat = imported(&text("['openai:gpt-x']", "You know {{context}}. Answer {{query}}"));
    let test = &chat.document["test_set"]["tests"][0];
    assert_eq!(test["input"], "{{ vars.query }}");
    assert_eq!(
        test["messages"],
        json!([{"role": "user", "content": "You know {{vars.context}}. Answer {{vars.query}}"}])
    );
    assert_eq!(notes(&chat), Vec::<String>::new());
    let alone = imported(&text("[echo]", "{{query}}"));
    assert_eq!(alone.document["test_set"]["tests"][0]["input"], "{{vars.query}}");
    assert_eq!(notes(&alone), Vec::<String>::new());
    let within = notes(&imported(&text("[echo]", "Answer {{query}}")));
    assert!(within[0].contains("is the whole prompt for its metrics"), "{within:?}");
}

#[test]
fn webhooks_are_called_and_their_secrets_named() {
    let text = suite(
        "",
        "      - {type: webhook, value: 'https://checks.example.com/{{env.TOKEN}}'}
      - {type: webhook, value: 'https://checks.example.com/{{who}}', threshold: 0.5}
      - {type: webhook, value: 'not an address'}
",
    );
    let imported = imported(&text);
    assert_eq!(
        imported.document["test_set"]["tests"][0]["metrics"],
        json!([
            {"type": "webhook", "url": "https://checks.example.com/{{secrets.TOKEN}}"},
            {"type": "webhook", "url": "https://checks.example.com/Ada", "threshold": 0.5},
        ])
    );
    assert_eq!(imported.document["secrets"], json!({"TOKEN": {"required": true}}));
    let said = notes(&imported);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("what a webhook is sent is another document"),
        "{said:?}"
    );
}

#[test]
fn cells_of_a_table_are_graded_as_well() {
    let text = format!("{HEAD}defaultTest: {{options: {{provider: 'openai:m'}}}}\ntests: file://t.csv\n");
    let table = "question,context,__expected1,__expected2,__expected3,__prefix\n\
        Why?,Blue light,grade: Kind on {{question}},similar:Because,not-llm-rubric(0.4): rude,Please: \n\
        How?,Blue light,context-recall:It scatters,select-best:x,\"python: len(output)\",\n";
    let imported = try_import(&text, None, &[("t.csv", table)]).unwrap();
    let tests = imported.document["test_set"]["tests"].as_array().unwrap();
    assert_eq!(
        tests[0]["metrics"],
        json!([
            {"type": "llm-rubric", "value": "Kind on Why?", "model": "m"},
            {"type": "similar", "value": "Because", "threshold": 0.8, "model": "text-embedding-3-large"},
            {"type": "not-llm-rubric", "value": "rude", "threshold": 0.4, "model": "m"},
        ])
    );
    assert_eq!(tests[0]["input"], "Please: {{vars.question}}");
    assert_eq!(
        tests[1]["metrics"],
        json!([{"type": "contextual-recall", "value": "It scatters", "threshold": 0.75, "model": "m"}])
    );
    assert_eq!(tests[1]["context"], json!(["Blue light"]));
    let said = notes(&imported).join("\n");
    for why in [
        "`select-best` compares outputs with each other",
        "`python` runs code",
        "\"openai:m\" makes no embeddings",
    ] {
        assert!(said.contains(why), "{why}: {said}");
    }
}
