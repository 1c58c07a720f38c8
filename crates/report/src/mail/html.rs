//! The HTML part: tables and inline styles only, since that is what mail clients agree on.

use std::fmt::Write as _;

use testfleet_model::{FinalStatus, Status, Summary};

use crate::facts;
use crate::story::Story;
use crate::text::more_alike;
use crate::visible::one_line;
use crate::worst::Worst;

const FONT: &str = "font-family:-apple-system,'Segoe UI',Helvetica,Arial,sans-serif";
const MONO: &str = "font-family:Menlo,Consolas,monospace";
const GREEN: &str = "#1a7f37";
const RED: &str = "#b42318";
const AMBER: &str = "#9a6700";
const GREY: &str = "#57606a";
const LINE: &str = "#d8dee4";

/// The whole document.
pub(super) fn render(summary: &Summary, worst: &Worst, link: Option<&str>) -> String {
    let mut html = String::new();
    let title = escaped(&facts::headline(summary));
    let _ = write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\n\
         <body style=\"margin:0;padding:0;background:#f6f8fa\">\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" style=\"background:#f6f8fa\">\
         <tr><td align=\"center\" style=\"padding:24px 12px\">\n\
         <table role=\"presentation\" width=\"640\" cellpadding=\"0\" cellspacing=\"0\" style=\"width:100%;\
         max-width:640px;background:#ffffff;border:1px solid {LINE};border-radius:8px;{FONT};font-size:14px;\
         line-height:1.5;color:#1f2328;text-align:left\">\n"
    );
    push_head(&mut html, summary, &title);
    push_counts(&mut html, summary);
    push_facts(&mut html, summary);
    push_stories(&mut html, summary, worst);
    push_link(&mut html, link);
    html.push_str("</table>\n</td></tr></table>\n</body>\n</html>\n");
    html
}

fn push_head(html: &mut String, summary: &Summary, title: &str) {
    let name = escaped(&one_line(&summary.test_configuration_name, 200));
    let details = escaped(&summary.status_details);
    let colour = colour(summary);
    let _ = writeln!(
        html,
        "<tr><td style=\"padding:20px 24px 12px;border-top:6px solid {colour};border-radius:8px 8px 0 0\">\
         <div style=\"font-size:20px;font-weight:600;color:{colour}\">{title}</div>\
         <div style=\"font-size:16px;font-weight:600;padding-top:2px\">{name}</div>\
         <div style=\"color:{GREY};padding-top:4px\">{details}</div></td></tr>"
    );
}

/// The numbers that everybody looks for, side by side.
fn push_counts(html: &mut String, summary: &Summary) {
    let cells = [
        ("passed", summary.tests_passed, GREEN),
        ("failed", summary.tests_failed, RED),
        ("errors", summary.execution_errors, RED),
        ("total", summary.total_tests, "#1f2328"),
    ];
    html.push_str(
        "<tr><td style=\"padding:0 24px 8px\"><table role=\"presentation\" width=\"100%\" cellpadding=\"0\" \
         cellspacing=\"0\"><tr>\n",
    );
    for (label, count, colour) in cells {
        let colour = if count == 0 { GREY } else { colour };
        let _ = writeln!(
            html,
            "<td width=\"25%\" style=\"padding:8px 0;border-top:1px solid {LINE};border-bottom:1px solid {LINE}\">\
             <div style=\"font-size:22px;font-weight:600;color:{colour}\">{count}</div>\
             <div style=\"font-size:12px;color:{GREY}\">{label}</div></td>"
        );
    }
    html.push_str("</tr></table></td></tr>\n");
}

fn push_facts(html: &mut String, summary: &Summary) {
    html.push_str(
        "<tr><td style=\"padding:4px 24px 12px\"><table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\">\n",
    );
    for (label, value) in facts::of(summary) {
        push_row(html, label, &value, false);
    }
    html.push_str("</table></td></tr>\n");
}

fn push_stories(html: &mut String, summary: &Summary, worst: &Worst) {
    for result in worst.iter() {
        let story = Story::of(result, None);
        let (word, colour) = match story.status {
            _ if summary.tolerates(result) => ("FLAKY", AMBER),
            Status::Error => ("ERROR", RED),
            Status::Inconclusive => ("UNDECIDED", AMBER),
            _ => ("FAIL", RED),
        };
        let _ = write!(
            html,
            "<tr><td style=\"padding:12px 24px;border-top:1px solid {LINE}\">\
             <div><span style=\"color:{colour};font-weight:600\">{word}</span> \
             <span style=\"font-weight:600;{MONO};font-size:13px\">{}</span></div>",
            escaped(&story.test_id)
        );
        if let Some(description) = &story.description {
            let _ = write!(html, "<div style=\"color:{GREY}\">{}</div>", escaped(description));
        }
        html.push_str("<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" style=\"padding-top:4px\">\n");
        for (label, line) in &story.lines {
            push_row(html, label, line, true);
        }
        html.push_str("</table></td></tr>\n");
        if let Some(more) = more_alike(worst, result) {
            push_remark(html, &more);
        }
    }
    let more = facts::not_well(summary).saturating_sub(worst.len() + worst.untold());
    if more > 0 {
        push_remark(html, &format!("… and {more} more"));
    }
}

fn push_remark(html: &mut String, remark: &str) {
    let _ = writeln!(
        html,
        "<tr><td style=\"padding:12px 24px;border-top:1px solid {LINE};color:{GREY}\">{remark}</td></tr>"
    );
}

fn push_row(html: &mut String, label: &str, value: &str, data: bool) {
    let font = if data {
        format!("{MONO};font-size:12px;")
    } else {
        String::new()
    };
    let _ = writeln!(
        html,
        "<tr><td valign=\"top\" style=\"padding:1px 16px 1px 0;color:{GREY};white-space:nowrap\">{label}</td>\
         <td style=\"padding:1px 0;{font}word-break:break-word\">{}</td></tr>",
        escaped(value)
    );
}

fn push_link(html: &mut String, link: Option<&str>) {
    if let Some(link) = link {
        let _ = writeln!(
            html,
            "<tr><td style=\"padding:16px 24px 20px;border-top:1px solid {LINE}\"><a href=\"{}\" style=\"display:\
             inline-block;padding:8px 16px;background:#1f2328;color:#ffffff;text-decoration:none;border-radius:6px;\
             font-weight:600\">Open the run</a></td></tr>",
            escaped(link)
        );
    }
}

fn colour(summary: &Summary) -> &'static str {
    match summary.final_status {
        FinalStatus::Completed if facts::is_well(summary) => GREEN,
        FinalStatus::Completed | FinalStatus::Failed => RED,
        FinalStatus::Partial | FinalStatus::Cancelled => AMBER,
    }
}

/// Escapes for text and quoted attributes alike.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}
