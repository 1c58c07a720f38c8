//! Problems of `test_set` itself.

use super::*;

#[test]
fn sources_are_checked_before_any_file_is_opened() {
    let cases = [
        (
            "{file: a.txt}",
            "suite.yaml:4:29: test_set.sources[0].file: cannot tell the format from the name; add `format: jsonl`, json, csv or yaml",
        ),
        (
            "{format: csv}",
            "suite.yaml:4:22: test_set.sources[0].file: missing; write the path of a file with tests",
        ),
        (
            "{file: a.csv, columns: {inptu: q}}",
            "suite.yaml:4:46: test_set.sources[0].columns.inptu: tests have no field \"inptu\"; did you mean \"input\"?",
        ),
        (
            "{file: a.csv, column: {}}",
            "suite.yaml:4:36: test_set.sources[0].column: unknown key; did you mean \"columns\"?",
        ),
    ];
    for (source, message) in cases {
        assert_eq!(refused(&format!("{HEAD}test_set: {{sources: [{source}]}}")), message);
    }
    assert!(read(&format!("{HEAD}test_set: {{sources: [{{file: a.txt, format: csv}}]}}")).is_ok());
}
