//! `doctor`: whether everything in the store is as it has to be, on a fleet that may be at work; and, on request, mending
//! what is safe to mend.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use testfleet_model::ExitCode;
use testfleet_report::visible;
use testfleet_store::{Examination, Finding, Mended};

use crate::exit::Failure;
use crate::session::Session;

/// The longest line of a finding, in characters.
const MAX_LINE: usize = 500;

/// `doctor`
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  testfleet doctor\n  testfleet doctor --fix --redis redis://localhost:6379\n  testfleet doctor --json\n\nExit codes: 0 everything is as it has to be, or has been mended; 1 something is left; 3 Redis cannot be reached."
)]
pub struct DoctorArguments {
    /// Mend what is safe to mend; each finding is looked at again in the step that mends it
    #[arg(long)]
    fix: bool,
}

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    sound: bool,
    runs: u64,
    findings: Vec<Told<'a>>,
    mended: Vec<Told<'a>>,
}

/// A finding with what people have to know of its kind.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    meaning: &'static str,
    mending: Option<&'static str>,
}

impl<'a> Told<'a> {
    fn new(finding: &'a Finding) -> Self {
        let mending = finding.code.mending();
        Self {
            finding,
            meaning: finding.code.meaning(),
            mending: Some(mending).filter(|_| finding.mendable),
        }
    }
}

/// Examines the store, and mends it when that was asked for.
///
/// # Errors
/// When the store does not answer.
pub async fn execute(arguments: DoctorArguments, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    let Mended { mended, left } = if arguments.fix {
        store.mend(session.settings.run.retention).await?
    } else {
        Mended {
            mended: Vec::new(),
            left: store.examine().await?,
        }
    };
    if session.output.json {
        session.output.json(&Document {
            sound: left.is_sound(),
            runs: left.runs,
            findings: left.findings.iter().map(Told::new).collect(),
            mended: mended.iter().map(Told::new).collect(),
        })?;
    } else {
        session.output.text(&text(&mended, &left))?;
    }
    Ok(if left.is_sound() {
        ExitCode::Passed
    } else {
        ExitCode::Internal
    })
}

fn text(mended: &[Finding], left: &Examination) -> String {
    let mut text = String::new();
    list(&mut text, mended, true);
    list(&mut text, &left.findings, false);
    let mendable = left.findings.iter().filter(|finding| finding.mendable).count();
    let looked = plural(left.runs, "run");
    let mended = mended.len() as u64;
    let _ = match (mended, left.findings.len() as u64) {
        (0, 0) => writeln!(text, "{looked} and what they share: everything is as it has to be"),
        (_, 0) => writeln!(
            text,
            "{looked}: {} mended; everything is as it has to be",
            plural(mended, "finding")
        ),
        (0, found) => {
            let advice = match mendable {
                0 => "none of them can be mended by itself".to_owned(),
                some => format!("`testfleet doctor --fix` mends {some}"),
            };
            writeln!(text, "{looked}: {}; {advice}", plural(found, "finding"))
        }
        (_, found) => writeln!(text, "{looked}: {} mended, {found} left", plural(mended, "finding")),
    };
    text
}

/// Findings by run; those about what all runs share first.
fn list(text: &mut String, findings: &[Finding], mended: bool) {
    let mut groups: BTreeMap<Option<&str>, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        groups.entry(finding.test_run_id.as_deref()).or_default().push(finding);
    }
    for (run, findings) in groups {
        let title = run.map_or_else(|| "what all runs share".to_owned(), |run| format!("run {run}"));
        let _ = writeln!(text, "{}", visible::one_line(&title, MAX_LINE));
        for finding in findings {
            let Told { meaning, mending, .. } = Told::new(finding);
            let code = finding.code;
            let what = format!("{code} {}: {}; {meaning}", finding.subject, finding.detail);
            let done = match (mended, mending) {
                (true, Some(mending)) => format!(" [mended: {mending}]"),
                (false, Some(mending)) => format!(" [--fix: {mending}]"),
                (_, None) => String::new(),
            };
            let _ = writeln!(text, "  {}", visible::one_line(&format!("{what}{done}"), MAX_LINE));
        }
    }
}

fn plural(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_store::FindingKind;

    fn finding(code: FindingKind, run: Option<&str>, mendable: bool) -> Finding {
        Finding {
            code,
            test_run_id: run.map(ToOwned::to_owned),
            subject: "r1/7".to_owned(),
            detail: "nobody holds it".to_owned(),
            mendable,
        }
    }

    #[test]
    fn a_sound_store_is_one_line() {
        let left = Examination {
            runs: 1,
            ..Examination::default()
        };
        assert_eq!(
            text(&[], &left),
            "1 run and what they share: everything is as it has to be\n"
        );
    }

    #[test]
    fn findings_are_one_line_each_under_their_run_and_say_what_mending_does() {
        let left = Examination {
            runs: 2,
            findings: vec![
                finding(FindingKind::ResultLost, Some("r1"), false),
                finding(FindingKind::LeaseOrphan, None, true),
            ],
        };
        assert_eq!(
            text(&[], &left),
            "what all runs share\n  lease-orphan r1/7: nobody holds it; the reaper looks at it in vain [--fix: it is removed]\n\
             run r1\n  result-lost r1/7: nobody holds it; the run has ended; its summary knows more than its results\n\
             2 runs: 2 findings; `testfleet doctor --fix` mends 1\n"
        );
    }

    #[test]
    fn what_was_mended_is_told() {
        let mended = [finding(FindingKind::LeaseOrphan, None, true)];
        let told = text(&mended, &Examination::default());
        assert!(told.contains("[mended: it is removed]"), "{told}");
        assert!(
            told.ends_with("0 runs: 1 finding mended; everything is as it has to be\n"),
            "{told}"
        );
    }
}
