//! The options of the program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{
    Answers, Behaviour, EveryNth, FailFirst, Fault, FaultKind, Knowledge, Latency, Rate, RetryAfterForm, ShareOfErrors,
    StubLimits, StubSettings,
};
use anyhow::Context;
use clap::Parser;

/// A configurable endpoint that stands in for the thing under test
#[derive(Debug, Parser)]
#[command(
    name = "testfleet-stub",
    version,
    after_help = "Example: testfleet-stub --listen 127.0.0.1:8765 --latency 20ms..80ms --max-in-flight 16"
)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8765")]
    listen: SocketAddr,
    /// A JSON file with questions and answers, instead of the compiled-in one
    #[arg(long, value_name = "FILE")]
    knowledge: Option<PathBuf>,
    /// A test set whose questions are answered as it expects: JSON Lines, JSON or CSV
    #[arg(long, value_name = "FILE", conflicts_with = "knowledge")]
    answers: Option<PathBuf>,
    /// The field of the set with the question [default: question, input, user_input, prompt_content, prompt or query]
    #[arg(long, value_name = "FIELD", requires = "answers")]
    answers_question: Option<String>,
    /// The field of the set with the answer [default: answer, target, reference, expected_output, …]
    #[arg(long, value_name = "FIELD", requires = "answers")]
    answers_answer: Option<String>,
    /// Answer every nth question of the set wrongly
    #[arg(long, value_name = "N", requires = "answers")]
    wrong_every: Option<usize>,
    /// The bearer token that every call must bring
    #[arg(long, value_name = "TOKEN", env = "STUB_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Append one JSON line per call to this file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Threads that serve
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Speak TLS, too, on free ports, and write the certificate of the authority to DIR/ca.pem
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
    /// Do what no server should, on a free port, below /hostile/
    #[arg(long)]
    hostile: bool,
    /// Calls kept for /_stub/calls
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    call_limit: u64,
    /// How long an answer takes: 50ms, or 20ms..80ms
    #[arg(long, value_name = "TIME", value_parser = parse_latency)]
    latency: Option<Latency>,
    /// The seed of all chance
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The share of calls that fail, from 0 to 1
    #[arg(long, value_name = "SHARE")]
    error_share: Option<f64>,
    /// The status they get
    #[arg(long, value_name = "STATUS", default_value_t = 500, requires = "error_share")]
    error_status: u16,
    /// Let every nth call fail
    #[arg(long, value_name = "N")]
    every_nth: Option<u64>,
    /// The status it gets
    #[arg(long, value_name = "STATUS", default_value_t = 503, requires = "every_nth")]
    every_nth_status: u16,
    /// Let the first calls of every test fail, by X-Testfleet-Run and X-Testfleet-Test
    #[arg(long, value_name = "N")]
    fail_first: Option<u32>,
    /// The status they get
    #[arg(long, value_name = "STATUS", default_value_t = 503, requires = "fail_first")]
    fail_first_status: u16,
    /// Refuse a call when this many are in flight
    #[arg(long, value_name = "N")]
    max_in_flight: Option<u32>,
    /// Refuse calls above this rate: 5/s, 300/m or 1000/h
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// Calls of the rate that may come at once after a quiet time; as many as the rate names when left out
    #[arg(long, value_name = "N", requires = "rate")]
    burst: Option<u32>,
    /// The status of a refused call
    #[arg(long, value_name = "STATUS", default_value_t = 429)]
    refusal_status: u16,
    /// What Retry-After says, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    retry_after: u64,
    /// How Retry-After says it: seconds, date or none
    #[arg(long, value_name = "FORM", default_value = "seconds")]
    retry_after_form: RetryAfterForm,
    /// Something worse: hang, hang-body, cut, cut-body, huge-body or invalid-json
    #[arg(long, value_name = "FAULT")]
    fault: Option<FaultKind>,
    /// The share of calls it happens to, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, requires = "fault")]
    fault_share: f64,
    /// The size of a huge body
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024 * 1024, requires = "fault")]
    huge_body_bytes: u64,
}

impl Arguments {
    /// Where the certificate of the authority is to be written.
    pub(crate) fn authority_file(&self) -> Option<PathBuf> {
        Some(self.tls_dir.as_ref()?.join("ca.pem"))
    }

    /// The settings these options stand for. Reads the knowledge file.
    pub(crate) fn into_settings(self) -> anyhow::Result<StubSettings> {
        let behaviour = self.behaviour();
        let knowledge = match (&self.knowledge, &self.answers) {
            (None, None) => Knowledge::example(),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("could not read the test set {}", path.display()))?;
                let answers = Answers {
                    question: self.answers_question.clone(),
                    answer: self.answers_answer.clone(),
                    wrong_every: self.wrong_every,
                    ..Answers::default()
                };
                answers
                    .read(&text)
                    .with_context(|| format!("could not use {}", path.display()))?
            }
            (Some(path), _) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("could not read the knowledge file {}", path.display()))?;
                Knowledge::from_json(&text).with_context(|| format!("could not use {}", path.display()))?
            }
        };
        Ok(StubSettings {
            listen: self.listen,
            knowledge,
            behaviour,
            // An exported but empty variable asks for nothing.
            token: self.token.filter(|token| !token.is_empty()),
            log: self.log,
            threads: usize::from(self.threads),
            tls: self.tls_dir.is_some(),
            hostile: self.hostile,
            call_limit: usize::try_from(self.call_limit).unwrap_or(usize::MAX),
        })
    }

    fn behaviour(&self) -> Behaviour {
        Behaviour {
            latency: self.latency.unwrap_or_default(),
            seed: self.seed,
            errors: self.error_share.map(|share| ShareOfErrors {
                share,
                status: self.error_status,
            }),
            every_nth: self.every_nth.map(|n| EveryNth {
                n,
                status: self.every_nth_status,
            }),
            fail_first: self.fail_first.map(|attempts| FailFirst {
                attempts,
                status: self.fail_first_status,
            }),
            limits: StubLimits {
                max_in_flight: self.max_in_flight,
                rate: self.rate,
                burst: self.burst,
                status: self.refusal_status,
                retry_after: self.retry_after_form,
                retry_after_s: self.retry_after,
            },
            fault: self.fault.map(|kind| Fault {
                kind,
                share: self.fault_share,
                bytes: self.huge_body_bytes,
            }),
        }
    }
}

fn parse_latency(text: &str) -> Result<Latency, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (min_ms, max_ms) = (parse_ms(least)?, parse_ms(most)?);
    Ok(Latency { min_ms, max_ms })
}

fn parse_ms(text: &str) -> Result<u64, String> {
    let duration: Duration = humantime::parse_duration(text.trim())
        .map_err(|_| format!("expected a duration with a unit such as 50ms or 2s, found {text:?}"))?;
    u64::try_from(duration.as_millis()).map_err(|_| format!("{text:?} is too long"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn behaviour(options: &[&str]) -> Behaviour {
        let arguments = Arguments::try_parse_from(std::iter::once(&"testfleet-stub").chain(options)).unwrap();
        arguments.into_settings().unwrap().behaviour
    }

    #[test]
    fn no_option_is_no_fault() {
        assert_eq!(behaviour(&[]), Behaviour::default());
    }

    #[test]
    fn every_option_finds_its_place() {
        let given = behaviour(&[
            "--latency=20ms..1s",
            "--seed=7",
            "--error-share=0.1",
            "--every-nth=10",
            "--every-nth-status=502",
            "--fail-first=2",
            "--max-in-flight=4",
            "--rate=300/m",
            "--burst=5",
            "--refusal-status=503",
            "--retry-after=3",
            "--retry-after-form=date",
            "--fault=huge-body",
            "--fault-share=0.5",
            "--huge-body-bytes=100",
        ]);
        let written = serde_json::json!({
            "latency": { "min_ms": 20, "max_ms": 1000 },
            "seed": 7,
            "errors": { "share": 0.1, "status": 500 },
            "every_nth": { "n": 10, "status": 502 },
            "fail_first": { "attempts": 2, "status": 503 },
            "limits": {
                "max_in_flight": 4, "rate": "300/m", "burst": 5, "status": 503, "retry_after": "date", "retry_after_s": 3,
            },
            "fault": { "kind": "huge-body", "share": 0.5, "bytes": 100 },
        });
        assert_eq!(serde_json::to_value(given).unwrap(), written);
    }

    #[test]
    fn a_latency_without_a_unit_is_refused() {
        assert!(parse_latency("50").is_err());
        assert_eq!(parse_latency("50ms"), Ok(Latency { min_ms: 50, max_ms: 50 }));
    }
}
