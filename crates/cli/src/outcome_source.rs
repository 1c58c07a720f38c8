//! What became of the tests of a run, wherever it is kept: in Redis, in a report file, or as a baseline.
//!
//! Report files are read result by result, so the memory needed is that of the outcomes and not that of the file.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use testfleet_model::RunId;
use testfleet_model::comparison::{OutcomeFold, Outcomes};
use testfleet_model::configuration::RepeatPolicy;
use testfleet_model::summary::ResultDigest;
use testfleet_worker::outcomes_of;

use crate::command::baseline;
use crate::exit::Failure;
use crate::session::Session;

/// The outcomes, and what they are of.
pub(crate) struct Found {
    /// The name of the configuration; empty when nobody knows.
    pub(crate) configuration: String,
    /// The outcomes.
    pub(crate) outcomes: Outcomes,
}

/// Finds what was named: the id of a run, `baseline:NAME`, or a report file.
///
/// # Errors
/// When it is not there or cannot be read.
pub(crate) async fn find(named: &str, session: &Session) -> Result<Found, Failure> {
    if let Some(name) = named.strip_prefix("baseline:") {
        let stored = session.fleet_view().await?.baseline(name).await?;
        let stored = stored.ok_or_else(|| baseline::unknown(name))?;
        let outcomes = Outcomes::from_stored(&stored.document)
            .map_err(|problem| Failure::usage(format!("could not use the baseline {name:?}: {problem}")))?;
        return Ok(Found {
            configuration: stored.configuration,
            outcomes,
        });
    }
    let path = Path::new(named);
    match named.parse::<RunId>() {
        // A file that is called like a run is named with its directory: ./0197….
        Ok(run) => of_run(run, session).await,
        Err(_) if path.is_file() => of_file(path).map_err(|why| {
            Failure::usage(format!(
                "could not read the results in {named}: {why}; expected a report of the format json or jsonl"
            ))
        }),
        Err(_) => Err(Failure::usage(format!(
            "{named:?} is neither the id of a run, nor a report file, nor baseline:NAME"
        ))),
    }
}

async fn of_run(run: RunId, session: &Session) -> Result<Found, Failure> {
    let store = session.fleet_view().await?;
    let read = outcomes_of(&store, run, session.max_result_bytes())
        .await
        .map_err(|error| Failure::internal(format!("could not read the results of run {run}: {error}")))?
        .map_err(Failure::usage)?;
    Ok(Found {
        configuration: read.configuration,
        outcomes: read.outcomes,
    })
}

fn of_file(path: &Path) -> Result<Found, String> {
    let file = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let is_lines = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"));
    if is_lines { of_lines(file) } else { of_document(file) }
}

/// One result a line; the summary, which would say how many repetitions have to pass, is not in it.
fn of_lines(file: impl BufRead) -> Result<Found, String> {
    let mut fold = OutcomeFold::default();
    for (number, line) in (1..).zip(file.lines()) {
        let line = line.map_err(|error| error.to_string())?;
        if !line.trim().is_empty() {
            add(&mut fold, &line).map_err(|error| format!("line {number}: {error}"))?;
        }
    }
    Ok(Found {
        configuration: String::new(),
        outcomes: fold.finish(RepeatPolicy::default()),
    })
}

/// The document of `--json`.
#[derive(Deserialize)]
struct Document {
    summary: Head,
    results: Folded,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    test_configuration_name: String,
    #[serde(default)]
    repeats: Option<Policy>,
}

#[derive(Deserialize)]
struct Policy {
    min_pass_rate: f64,
}

struct Folded(OutcomeFold);

impl<'de> Deserialize<'de> for Folded {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Results;
        impl<'de> Visitor<'de> for Results {
            type Value = Folded;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of results")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut results: A) -> Result<Folded, A::Error> {
                let mut fold = OutcomeFold::default();
                while let Some(result) = results.next_element::<Box<RawValue>>()? {
                    add(&mut fold, result.get()).map_err(A::Error::custom)?;
                }
                Ok(Folded(fold))
            }
        }
        from.deserialize_seq(Results)
    }
}

fn of_document(file: impl BufRead) -> Result<Found, String> {
    let mut from = serde_json::Deserializer::from_reader(file);
    let Document { summary, results } = Document::deserialize(&mut from).map_err(|error| error.to_string())?;
    from.end().map_err(|error| error.to_string())?;
    let policy = summary
        .repeats
        .map_or_else(RepeatPolicy::default, |policy| RepeatPolicy {
            min_pass_rate: policy.min_pass_rate,
        });
    Ok(Found {
        configuration: summary.test_configuration_name,
        outcomes: results.0.finish(policy),
    })
}

fn add(fold: &mut OutcomeFold, result: &str) -> Result<(), serde_json::Error> {
    let digest: ResultDigest = serde_json::from_str(result)?;
    fold.add(&digest, &serde_json::from_str(result)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use testfleet_model::Status;

    use super::*;

    const RESULTS: [&str; 2] = [
        r#"{"test_id": "a", "index": 0, "status": "Pass", "attempts": 1, "metrics": []}"#,
        r#"{"test_id": "b#1", "index": 1, "status": "Fail", "attempts": 1, "repetition": {"number": 1, "of": 2, "test": "b"}}"#,
    ];

    #[test]
    fn a_report_is_read_in_both_formats() {
        let list = RESULTS.join(",\n");
        let document = format!("{{\"summary\": {{\"test_configuration_name\": \"n\"}},\n\"results\": [{list}]}}\n");
        let found = of_document(document.as_bytes()).unwrap();
        let lines = of_lines(RESULTS.join("\n\n").as_bytes()).unwrap();
        assert_eq!((found.configuration.as_str(), &found.outcomes), ("n", &lines.outcomes));
        assert_eq!(found.outcomes.tests["a"].status, Status::Pass);
        // One repetition has no result: an error.
        assert_eq!(
            (found.outcomes.tests["b"].status, found.outcomes.tests["b"].executed),
            (Status::Fail, 2)
        );
    }

    #[test]
    fn half_a_report_is_none_and_says_where_it_ends() {
        let document = format!("{{\"summary\": {{}}, \"results\": [{}", RESULTS[0]);
        for text in [
            document.as_str(),
            "{}",
            "[]",
            "{\"summary\": {}, \"results\": [{}]}",
            "",
        ] {
            let error = of_document(text.as_bytes()).err().unwrap();
            assert!(error.contains("line 1"), "{text}: {error}");
        }
        let error = of_document("{\"summary\": {}, \"results\": []} []".as_bytes())
            .err()
            .unwrap();
        assert!(error.contains("trailing characters"), "{error}");
        assert!(
            of_lines("{}\n".as_bytes())
                .err()
                .unwrap()
                .starts_with("line 1: missing field")
        );
    }
}
