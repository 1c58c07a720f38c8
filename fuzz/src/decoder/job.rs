//! The payload of a test: read as a worker reads it, then rendered into a request.

use std::sync::LazyLock;

use serde_json::{Map, json};
use testfleet_endpoint::Target;
use testfleet_evaluation::MetricSet;
use testfleet_model::configuration::{ResponseFormat, TestCase};

use super::endpoint::{call, endpoint, placed, run, secret_specs, target};
use super::input::{keeps_the_secret, said};

/// An endpoint whose request has everything of a test in it.
static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let mut all = endpoint();
    all.headers = [("x-test".to_owned(), "{{ test.id }}".to_owned())].into();
    all.query = [("tags".to_owned(), "{{ test.tags }}".to_owned())].into();
    all.body = Some(json!({
        "input": "{{ input }}", "messages": "{{ messages }}", "vars": "{{ vars }}", "test": "{{ test }}",
        "text": "{{ input | default('') | upper }} {{ vars.name | default('?') }}", "token": "{{ secrets.TOKEN }}",
    }));
    target(&all, &secret_specs()).expect("the endpoint compiles")
});

/// Reads the payload.
pub fn check(data: &[u8]) {
    let test = match TestCase::from_stored(data) {
        Ok(test) => test,
        Err(error) => return said(&error.to_string()),
    };
    let again = serde_json::to_vec(&test).expect("a test can be written");
    assert_eq!(TestCase::from_stored(&again).expect("what was written reads"), test);
    for format in [ResponseFormat::Json, ResponseFormat::Text] {
        for problem in testfleet_endpoint::check_test(&test, "test", format) {
            placed(&problem);
            assert!(problem.key.starts_with("test."), "{problem:?}");
        }
    }
    for problem in MetricSet::compile(&test.metrics).err().unwrap_or_default() {
        said(&problem.message);
        assert!(problem.path().starts_with("metrics["), "{problem:?}");
    }
    match TARGET.prepare(&call(&run(), &test, &Map::new())) {
        Ok(record) => keeps_the_secret(&record),
        Err(error) => {
            said(&error.detail.message);
            keeps_the_secret(&error);
        }
    }
}
