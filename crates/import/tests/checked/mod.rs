//! Imports whose results are checked by everything that `config check` asks.

use testfleet_evaluation::MetricSet;
use testfleet_import::{Files, Imported, import};
use testfleet_judge::LANGUAGE;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, plain_value, read_configuration};

pub(crate) fn try_import(text: &str, provider: Option<&str>, files: &[(&str, &str)]) -> Result<Imported, String> {
    let mut read = |name: &str| {
        let found = files.iter().find(|(file, _)| *file == name);
        found
            .map(|(_, text)| (*text).to_owned())
            .ok_or_else(|| "there is no such file".to_owned())
    };
    let imported = import(text, "promptfooconfig.yaml", provider, &mut Files::new(&mut read))
        .map_err(|problems| problems.to_string())?;
    accepted(&imported);
    Ok(imported)
}

pub(crate) fn imported(text: &str) -> Imported {
    try_import(text, None, &[]).unwrap()
}

/// What `config check` asks.
fn accepted(imported: &Imported) {
    let read = read_configuration(&imported.yaml, "suite.yaml", DocumentFormat::Yaml, &Defaults::default());
    let reading = read.unwrap_or_else(|problems| panic!("{problems}\n{}", imported.yaml));
    assert_eq!(
        plain_value(&imported.yaml, "suite.yaml", DocumentFormat::Yaml).unwrap(),
        imported.document
    );
    let configuration = reading.configuration;
    let asked = testfleet_judge::check(&configuration);
    assert!(asked.is_empty(), "{asked:?}\n{}", imported.yaml);
    let endpoint = testfleet_endpoint::check(&configuration.endpoint, &configuration.secrets);
    assert!(endpoint.is_empty(), "{endpoint:?}\n{}", imported.yaml);
    for test in &configuration.test_set.tests {
        let problems = testfleet_endpoint::check_test(test, "", configuration.endpoint.response.format);
        assert!(problems.is_empty(), "{problems:?}\n{}", imported.yaml);
        MetricSet::compile_with(&test.metrics, LANGUAGE).unwrap();
    }
}

pub(crate) fn notes(imported: &Imported) -> Vec<String> {
    imported.notes.iter().map(ToString::to_string).collect()
}
