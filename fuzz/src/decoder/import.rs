//! A configuration of promptfoo; behind the first empty line the text of every file that it refers to.

use testfleet_import::{Files, import};
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, plain_value, read_configuration};

use super::input::{halves, said, text};

/// Imports it, and reads what came of it.
pub fn check(data: &[u8]) {
    let (configuration, file) = halves(data);
    let (configuration, file) = (text(configuration), text(file));
    let mut read = |_: &str| Ok(file.clone());
    match import(&configuration, "promptfooconfig.yaml", None, &mut Files::new(&mut read)) {
        Ok(imported) => {
            let again =
                plain_value(&imported.yaml, "suite.yaml", DocumentFormat::Yaml).expect("what was written reads");
            assert_eq!(again, imported.document);
            read_configuration(&imported.yaml, "suite.yaml", DocumentFormat::Yaml, &Defaults::default())
                .expect("what was imported is a configuration");
            for note in imported.notes {
                said(&note.problem.message);
                assert!(note.problem.line >= 1 && note.problem.column >= 1, "{note}");
            }
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "an error without a problem");
            problems.0.iter().for_each(|problem| said(&problem.message));
        }
    }
}
