//! The one mail a run ends with: subject, text and HTML. `testfleet-notify` sends it.

mod html;

use testfleet_model::{Summary, TestResult};

use crate::facts;
use crate::text::{TextOptions, render_worst};
use crate::visible::header;
use crate::worst::Worst;

/// Results that are told in a mail.
pub const MAX_LISTED: usize = 10;
const MAX_NAME_IN_SUBJECT: usize = 100;

/// A mail without sender and recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// One line without control characters, about 150 characters at most.
    pub subject: String,
    /// For those who read text.
    pub text: String,
    /// For everybody else: one table, inline styles, nothing loaded from elsewhere.
    pub html: String,
}

/// The mail about a run. Of `results`, which may be all of the run or a selection, the ten worst are told; the
/// counts are the summary's. With `base_url` (`http` or `https`, anything else is left out) it links to
/// `<base_url>/runs/<run id>`.
#[must_use]
pub fn mail(summary: &Summary, results: &[TestResult], base_url: Option<&str>) -> Mail {
    let worst = Worst::of(results, MAX_LISTED);
    let link = base_url.and_then(|base| link(summary, base));
    let mut text = render_worst(
        summary,
        &worst,
        TextOptions {
            see: link.as_deref(),
            ..TextOptions::default()
        },
    );
    if let Some(link) = &link {
        text.push_str(&format!("\n{link}\n"));
    }
    Mail {
        subject: subject(summary),
        text,
        html: html::render(summary, &worst, link.as_deref()),
    }
}

/// `[testfleet] <configuration>: <final_status> — 8/10 passed`, and behind it which gates failed.
fn subject(summary: &Summary) -> String {
    format!(
        "[testfleet] {}: {} — {}",
        header(&summary.test_configuration_name, MAX_NAME_IN_SUBJECT),
        summary.final_status,
        facts::passed(summary)
    )
}

fn link(summary: &Summary, base: &str) -> Option<String> {
    let web = base.starts_with("https://") || base.starts_with("http://");
    let clean = base.chars().all(|c| c.is_ascii_graphic());
    (web && clean).then(|| format!("{}/runs/{}", base.trim_end_matches('/'), summary.test_run_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn the_mail_about_a_partial_run() {
        let (summary, results) = example::partial();
        let mail = mail(&summary, &results, Some("https://fleet.example.org/"));
        assert_eq!(mail.subject, "[testfleet] Support bot, smoke: Partial — 5/10 passed");
        insta::assert_snapshot!("mail_text", mail.text);
        insta::assert_snapshot!("mail_html", mail.html);
    }

    #[test]
    fn a_flaky_test_is_called_so_in_both_parts() {
        let (summary, results) = example::repeated();
        let mail = mail(&summary, &results, None);
        for part in [&mail.text, &mail.html] {
            assert!(
                part.contains("FLAKY") && part.contains("small-talk: 2 of 3 passed"),
                "{part}"
            );
            assert!(part.contains("1 of 2 tests passed, 2 flaky"), "{part}");
        }
    }

    #[test]
    fn recovered_tests_are_counted_and_what_was_before_is_told_in_both_parts() {
        let (summary, results) = example::recovered();
        let mail = mail(&summary, &results, None);
        for part in [&mail.text, &mail.html] {
            for told in [
                "2 tests, in 1 recovery round",
                "round 1, evaluated again; before: metric: metric ",
                "round 1, tried again; before: status: the endpoint answered 503",
            ] {
                assert!(part.contains(told), "{told}: {part}");
            }
        }
    }

    #[test]
    fn gates_that_failed_are_in_the_subject_and_in_both_parts() {
        let (summary, results) = example::gated();
        let mail = mail(&summary, &results, None);
        assert_eq!(
            mail.subject,
            "[testfleet] Support bot, smoke: Completed — 10/10 passed, 1 gate and the baseline failed"
        );
        for part in [&mail.text, &mail.html] {
            let text = part.replace("&lt;", "<").replace("&gt;", ">");
            for line in [
                "✗ latency_ms.p95 < 6000: 7,120.5",
                "✓ pass_rate >= 1 where tag:area=refunds: 1",
                "! cheap (cost <= 5): cost is not known",
                "1 test is worse",
                "regressed refund-window: Pass → Fail",
            ] {
                assert!(text.contains(line), "{line}: {text}");
            }
        }
    }

    #[test]
    fn the_mail_about_a_run_that_passed_has_no_list() {
        let (summary, results) = example::completed();
        let mail = mail(&summary, &results, None);
        assert_eq!(mail.subject, "[testfleet] Support bot, smoke: Completed — 10/10 passed");
        assert!(!mail.html.contains("href") && !mail.html.contains("FAIL"));
    }

    #[test]
    fn ten_are_told_and_the_rest_is_counted() {
        let (summary, results) = example::cut_short();
        let mail = mail(&summary, &results, None);
        assert_eq!(mail.text.matches("FAIL").count(), MAX_LISTED);
        assert!(mail.text.contains("… and 22 more"));
        assert!(mail.html.contains("… and 22 more"));
    }

    #[test]
    fn tests_in_one_error_are_told_a_few_times_and_counted() {
        let (summary, results) = example::troubled();
        let mail = mail(&summary, &results, None);
        assert_eq!(mail.text.matches("Connection refused").count(), 3);
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("… and 3 more tests in the same error"), "{part}");
        }
    }

    #[test]
    fn hostile_data_stays_data() {
        let (summary, results) = example::hostile();
        let mail = mail(&summary, &results, Some("https://fleet.example.org"));
        assert!(!mail.subject.chars().any(crate::visible::steers), "{:?}", mail.subject);
        assert!(mail.subject.chars().count() <= 160);
        assert!(!mail.html.contains("<script") && !mail.html.contains("</td><s"));
        for text in [&mail.text, &mail.html] {
            assert!(text.chars().all(|c| c == '\n' || !crate::visible::steers(c)));
        }
    }

    #[test]
    fn a_link_is_to_the_web_or_not_there() {
        let (summary, results) = example::completed();
        for base in [
            "javascript:alert(1)//",
            "file:///etc",
            "https://x\r\nBcc: a@b",
            "https://a b",
            "",
        ] {
            assert!(!mail(&summary, &results, Some(base)).html.contains("href"), "{base}");
        }
        let quoted = mail(&summary, &results, Some("https://x/\"onmouseover=\"alert(1)"));
        assert!(!quoted.html.contains("\"onmouseover"));
    }
}
