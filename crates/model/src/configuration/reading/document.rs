//! Reads the document as a whole.

use std::collections::{BTreeMap, HashSet};

use crate::configuration::{
    Endpoint, FORMAT_VERSION, Notification, Report, ReportFormat, SecretSpec, TestConfiguration, TestSet,
};

use super::attribute::read_attributes;
use super::check::check_document;
use super::endpoint::{read_endpoint, unreadable_endpoint};
use super::field::Field;
use super::gate::{read_baseline, read_gates};
use super::metric::read_metrics;
use super::model_server::read_models;
use super::node::{Node, NodeValue};
use super::retry::Defaults;
use super::section::{Findings, Section};
use super::test_set::read_test_set;

/// Reads a configuration. `None` when so much is missing that there is nothing to give back; the problems
/// say what.
pub(super) fn read_document(root: Node, defaults: Defaults, findings: &mut Findings) -> Option<TestConfiguration> {
    findings.positions.record(&root, "");
    if root.is_null() {
        findings.problem(root.position, "", "the document is empty");
        return None;
    }
    if is_of_promptfoo(&root) {
        let message = format!(
            "this looks like a configuration of promptfoo; `testfleet config import {}` makes one of testfleet of it",
            findings.file
        );
        findings.problem(root.position, "", message);
        return None;
    }
    let mut section = Section::open(Field::root(root), findings)?;
    // Editors find the schema by it.
    if let Some(field) = section.take("$schema") {
        field.text(findings);
    }
    read_version(&mut section, findings);
    let name = match section.take("name") {
        Some(field) => field.filled_text(findings),
        None => {
            section.missing("name", "write what people call this configuration", findings);
            None
        }
    };
    let (attributes, invoke) = read_attributes(section.take("attributes"), defaults, findings);
    let endpoint = match section.take("endpoint") {
        Some(field) => Some(read_endpoint(field, &invoke, findings)),
        None if defaults.evaluates_again || attributes.reference_test_run_id.is_some() => Some(Endpoint::absent()),
        None => {
            section.missing("endpoint", "write what to call: at least its `url`", findings);
            None
        }
    };
    let test_set = match section.take("test_set") {
        Some(field) => read_test_set(field, findings),
        None => {
            section.missing("test_set", "write `tests`, or `sources` with files of tests", findings);
            None
        }
    };
    let gates = section
        .take("gates")
        .map(|field| read_gates(field, findings))
        .unwrap_or_default();
    let baseline = section
        .take("baseline")
        .and_then(|field| read_baseline(field, &gates, findings));
    let configuration = TestConfiguration {
        version: FORMAT_VERSION,
        name: name.unwrap_or_default(),
        description: section.take("description").and_then(|field| field.text(findings)),
        project: section.take("project").and_then(|field| field.filled_text(findings)),
        owner: section.take("owner").and_then(|field| read_address(field, findings)),
        tags: section
            .take("tags")
            .map(|field| field.texts_by_name(findings))
            .unwrap_or_default(),
        metadata: section
            .take("metadata")
            .and_then(|field| field.object(findings))
            .unwrap_or_default(),
        secrets: section
            .take("secrets")
            .map(|field| read_secrets(field, findings))
            .unwrap_or_default(),
        models: section
            .take("models")
            .map(|field| read_models(field, defaults, findings))
            .unwrap_or_default(),
        endpoint: endpoint.unwrap_or_else(|| unreadable_endpoint(&invoke)),
        test_set: test_set.unwrap_or_else(TestSet::default),
        metrics: section
            .take("metrics")
            .map(|field| read_metrics(field, findings))
            .unwrap_or_default(),
        attributes,
        gates,
        baseline,
        reports: section
            .take("reports")
            .map(|field| read_reports(field, findings))
            .unwrap_or_default(),
        notifications: section
            .take("notifications")
            .map(|field| read_notifications(field, findings))
            .unwrap_or_default(),
    };
    section.unsupported(&["endpoint_id", "test_set_id"], findings);
    section.finish(findings);
    check_document(&configuration, findings);
    Some(configuration)
}

/// Whether a document has what those of promptfoo have, and nothing that ours need.
fn is_of_promptfoo(root: &Node) -> bool {
    let NodeValue::Map(entries) = &root.value else {
        return false;
    };
    let has = |keys: &[&str]| entries.iter().any(|entry| keys.contains(&entry.key.as_str()));
    has(&["prompts", "providers", "targets"]) && !has(&["version", "endpoint", "test_set"])
}

fn read_version(section: &mut Section, findings: &mut Findings) {
    match section.take("version") {
        None => section.missing("version", "write `version: 1`", findings),
        Some(field) => {
            let at = field.clone_place();
            match field.count(findings) {
                Some(FORMAT_VERSION) | None => {}
                Some(other) => {
                    let message = format!("version {other} is not supported; this version reads {FORMAT_VERSION}");
                    at.problem(message, findings);
                }
            }
        }
    }
}

fn read_secrets(field: Field, findings: &mut Findings) -> BTreeMap<String, SecretSpec> {
    let mut secrets = BTreeMap::new();
    for (name, field) in field.entries(findings) {
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain {
            let message = "a secret is named like an environment variable: letters, digits and _";
            findings.problem(field.key_position, &field.path, message);
        }
        let Some(mut section) = Section::open(field, findings) else {
            continue;
        };
        let spec = SecretSpec {
            required: section
                .take("required")
                .and_then(|field| field.flag(findings))
                .unwrap_or(true),
            from: section
                .take("from")
                .and_then(|field| read_secret_place(field, findings)),
        };
        section.finish(findings);
        secrets.insert(name, spec);
    }
    secrets
}

fn read_secret_place(field: Field, findings: &mut Findings) -> Option<String> {
    let at = field.clone_place();
    let from = field.private_text(findings)?;
    let place = from.strip_prefix("env:").or_else(|| from.strip_prefix("file:"));
    if place.is_none_or(str::is_empty) {
        // The text is not repeated: it may be the secret itself.
        at.problem(
            "expected env:NAME or file:PATH; secrets themselves are never written here",
            findings,
        );
        return None;
    }
    Some(from)
}

/// An address that a mail server could take. Whether anybody reads it, only a mail can tell.
fn read_address(field: Field, findings: &mut Findings) -> Option<String> {
    let at = field.clone_place();
    let address = field.text(findings)?;
    let plausible = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !address.contains("..")
            && !domain.is_empty()
            && domain.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            })
            && !local.contains(|c: char| c.is_whitespace() || c.is_control() || "()<>[]:;@\\,\"".contains(c))
    });
    if !plausible {
        at.problem(
            format!("expected an e-mail address such as qa@example.com, found {address:?}"),
            findings,
        );
        return None;
    }
    Some(address)
}

fn read_reports(field: Field, findings: &mut Findings) -> Vec<Report> {
    let formats = [
        ("json", ReportFormat::Json),
        ("jsonl", ReportFormat::Jsonl),
        ("junit", ReportFormat::Junit),
        ("text", ReportFormat::Text),
    ];
    let later = ["html", "ctrf", "csv", "markdown"];
    let mut reports = Vec::new();
    let mut paths = HashSet::new();
    for item in field.items(findings) {
        let Some(mut section) = Section::open(item, findings) else {
            continue;
        };
        let format = match section.take("format") {
            Some(field) => field.word(&formats, &later, findings),
            None => {
                section.missing("format", "write json, jsonl, junit or text", findings);
                None
            }
        };
        let path = match section.take("path") {
            Some(field) => {
                let at = field.clone_place();
                let path = field.filled_text(findings);
                if path.as_ref().is_some_and(|path| !paths.insert(path.clone())) {
                    at.problem("two reports would be written to this file", findings);
                }
                path
            }
            None => {
                section.missing("path", "write the file to write the report to", findings);
                None
            }
        };
        section.finish(findings);
        reports.extend(format.zip(path).map(|(format, path)| Report { format, path }));
    }
    reports
}

fn read_notifications(field: Field, findings: &mut Findings) -> Vec<Notification> {
    let mut notifications = Vec::new();
    for item in field.items(findings) {
        let Some(mut section) = Section::open(item, findings) else {
            continue;
        };
        let Some(kind) = section.take("type") else {
            section.missing("type", "write email", findings);
            continue;
        };
        if kind.word(&[("email", ())], &["webhook"], findings).is_none() {
            continue;
        }
        match section.take("to") {
            Some(field) => {
                let at = field.clone_place();
                let items = field.items_or_one(findings);
                if items.is_empty() {
                    at.problem("must name at least one address", findings);
                }
                let to = items
                    .into_iter()
                    .filter_map(|item| read_address(item, findings))
                    .collect();
                notifications.push(Notification::Email { to });
            }
            None => section.missing("to", "write the addresses to send the summary to", findings),
        }
        section.finish(findings);
    }
    notifications
}
