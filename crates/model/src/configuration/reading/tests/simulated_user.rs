//! Users that a model plays.

use super::*;
use crate::configuration::reading::from_canonical_json;

const MODEL: &str = "models: {player: {base_url: 'https://llm.test/v1', model: small}}\n";
const ENDPOINT: &str = "version: 1\nname: n\nendpoint: {url: 'https://x.test/', conversation: {mode: stateless}}\n";

/// A document with a test that has a user, and what else stands behind it.
fn user(user: &str) -> String {
    format!("{ENDPOINT}test_set: {{tests: [{{simulated_user: {user}}}]}}\n{MODEL}")
}

fn check(cases: &[(String, &str)]) {
    for (document, expected) in cases {
        assert_eq!(&refused(document), expected, "{document}");
    }
}

#[test]
fn a_user_has_defaults_and_is_stored_as_it_is_read() {
    let plain = read(&user("{goal: g}")).unwrap().configuration;
    let test = &plain.test_set.tests[0];
    assert!(test.is_dialogue());
    assert_eq!((test.max_turns(), test.turns.len()), (10, 0));
    let full = "{goal: g, model: player, instructions: i, max_turns: 50, first_message: hi, stop_when: '{{ output }}'}";
    let full = read(&user(full)).unwrap().configuration;
    assert_eq!(full.test_set.tests[0].max_turns(), 50);
    assert_ne!(plain.test_set.tests[0].id, full.test_set.tests[0].id);
    for configuration in [plain, full] {
        let stored = serde_json::to_string(&configuration).unwrap();
        assert_eq!(from_canonical_json(&stored).unwrap(), configuration);
    }
}

#[test]
fn all_problems_of_a_user_have_their_places() {
    check(&[
        (
            user("{max_turns: 51, first_message: '', gole: x}"),
            "suite.yaml:4:37: test_set.tests[0].simulated_user.goal: missing; write what the user wants of the conversation\n\
             suite.yaml:4:49: test_set.tests[0].simulated_user.max_turns: a simulated user may have 50 turns\n\
             suite.yaml:4:68: test_set.tests[0].simulated_user.first_message: must not be empty\n\
             suite.yaml:4:72: test_set.tests[0].simulated_user.gole: unknown key",
        ),
        (
            user("{goal: g, model: playr}"),
            "suite.yaml:4:54: test_set.tests[0].simulated_user.model: there is no model \"playr\" under `models`; did you mean \"player\"?",
        ),
        (
            user("{goal: g}, input: a, turns: [b]"),
            "suite.yaml:4:21: test_set.tests[0].simulated_user: a dialogue has written `turns` or a `simulated_user`; give one of them\n\
             suite.yaml:4:48: test_set.tests[0].input: in a dialogue its `turns` or its `simulated_user` say what the user says; give either `input` or one of them",
        ),
    ]);
}

#[test]
fn what_the_document_around_it_lacks_is_said() {
    let without_model = format!("{ENDPOINT}test_set: {{tests: [{{simulated_user: {{goal: g}}}}]}}\n");
    let stateless = ENDPOINT.replace(", conversation: {mode: stateless}", "");
    let without_conversation = format!("{stateless}test_set: {{tests: [{{simulated_user: {{goal: g}}}}]}}\n{MODEL}");
    let own = format!("{ENDPOINT}test_set: {{tests: [{{input: a, metrics: [{{type: goal-reached}}]}}]}}\n");
    let turn = format!(
        "{ENDPOINT}test_set: {{tests: [{{turns: [{{input: a, metrics: [{{type: assert-set, metrics: [{{type: goal-reached}}]}}]}}]}}]}}\n"
    );
    check(&[
        (
            without_model,
            "suite.yaml:4:37: test_set.tests[0].simulated_user: `simulated_user` asks a model; define one under `models`",
        ),
        (
            without_conversation,
            "suite.yaml:4:37: test_set.tests[0].simulated_user: the endpoint holds no conversations; say how it does with endpoint.conversation.mode: `stateless` when each call carries all `messages`, `stateful` when it remembers under an id",
        ),
        (
            own,
            "suite.yaml:4:41: test_set.tests[0].metrics[0]: `goal-reached` needs a `simulated_user`, whose goal it is about",
        ),
        (
            turn,
            "suite.yaml:4:50: test_set.tests[0].turns[0].metrics[0]: `assert-set` is about the goal of a `simulated_user`, and belongs to the test as a whole",
        ),
    ]);
}
