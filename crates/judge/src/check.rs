//! What can be known to be wrong with models and webhooks before a run.

use std::collections::BTreeMap;

use testfleet_endpoint::{CompileProblem, check_secret_template};
use testfleet_model::TestConfiguration;
use testfleet_model::configuration::{Endpoint, Metric, ModelServer, SecretSpec};

use crate::model::endpoint_of;

/// All problems of the models of a configuration and of the webhooks of its metrics, each with its key.
#[must_use]
pub fn check(configuration: &TestConfiguration) -> Vec<CompileProblem> {
    let secrets = &configuration.secrets;
    let models = configuration
        .models
        .iter()
        .flat_map(|(name, server)| check_model(name, server, secrets));
    models
        .chain(check_metrics(&configuration.metrics, "metrics", secrets))
        .collect()
}

/// All problems of the webhooks of metrics; `key` is where the list stands.
#[must_use]
pub fn check_metrics(metrics: &[Metric], key: &str, secrets: &BTreeMap<String, SecretSpec>) -> Vec<CompileProblem> {
    let mut problems = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let key = format!("{key}[{index}]");
        if let Some(url) = &metric.url {
            let endpoint = Endpoint {
                headers: metric.headers.clone(),
                ..Endpoint::new("POST", url.clone())
            };
            check_strings(
                [(format!("{key}.url"), url)].into_iter(),
                &metric.headers,
                &key,
                secrets,
                &mut problems,
            );
            let compiled = testfleet_endpoint::check(&endpoint, secrets);
            problems.extend(renamed(compiled, &[("endpoint", &key)], &problems));
        }
        problems.extend(check_metrics(&metric.metrics, &format!("{key}.metrics"), secrets));
    }
    problems
}

fn check_model(name: &str, server: &ModelServer, secrets: &BTreeMap<String, SecretSpec>) -> Vec<CompileProblem> {
    let key = format!("models.{name}");
    let mut problems = Vec::new();
    let api_key = server.api_key.iter().map(|source| (format!("{key}.api_key"), source));
    check_strings(api_key, &server.headers, &key, secrets, &mut problems);
    let compiled = testfleet_endpoint::check(&endpoint_of(server, "/chat/completions"), secrets);
    let names = [
        ("endpoint.auth.token", format!("{key}.api_key")),
        ("endpoint.auth", format!("{key}.api_key")),
        ("endpoint.url", format!("{key}.base_url")),
        ("endpoint", key.clone()),
    ];
    let names: Vec<(&str, &str)> = names.iter().map(|(theirs, ours)| (*theirs, ours.as_str())).collect();
    problems.extend(renamed(compiled, &names, &problems));
    problems
}

/// Templates that may use nothing but secrets.
fn check_strings<'a>(
    strings: impl Iterator<Item = (String, &'a String)>,
    headers: &'a BTreeMap<String, String>,
    key: &str,
    secrets: &BTreeMap<String, SecretSpec>,
    problems: &mut Vec<CompileProblem>,
) {
    let headers = headers
        .iter()
        .map(|(name, source)| (format!("{key}.headers.{name}"), source));
    for (key, source) in strings.chain(headers) {
        if let Err(message) = check_secret_template(source, secrets) {
            problems.push(CompileProblem::new(key, message));
        }
    }
}

/// Problems of an endpoint under the keys that people wrote, each place once.
fn renamed(found: Vec<CompileProblem>, names: &[(&str, &str)], known: &[CompileProblem]) -> Vec<CompileProblem> {
    found
        .into_iter()
        .map(|CompileProblem { key, message }| {
            let name = names
                .iter()
                .find_map(|(theirs, ours)| Some(format!("{ours}{}", key.strip_prefix(theirs)?)));
            CompileProblem::new(name.unwrap_or(key), message)
        })
        .filter(|problem| !known.iter().any(|known| known.key == problem.key))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};

    #[test]
    fn problems_stand_under_the_keys_that_people_write() {
        let text = "version: 1\nname: n\nsecrets: {K: }\nendpoint: {url: 'https://x.test/'}\n\
            test_set: {tests: [{input: a}]}\n\
            models:\n  judge: {base_url: 'https://x.test/v1', model: m, api_key: '{{ secrets.KEY }}', headers: {te: a, X-B: '{{ vars.b }}'}}\n  \
            fine: {base_url: 'https://x.test/v1', model: m, api_key: '{{ secrets.K }}'}\n\
            metrics:\n- {type: assert-set, metrics: [{type: webhook, url: 'https://x.test/{{ input }}', headers: {A: '{{ secrets.Z }}'}}]}\n";
        let reading = read_configuration(text, "a.yaml", DocumentFormat::Yaml, &Defaults::default()).unwrap();
        let found: Vec<String> = check(&reading.configuration)
            .iter()
            .map(|problem| problem.key.clone())
            .collect();
        assert_eq!(
            found,
            [
                "models.judge.api_key",
                "models.judge.headers.X-B",
                "models.judge.headers.te",
                "metrics[0].metrics[0].url",
                "metrics[0].metrics[0].headers.A",
            ]
        );
    }
}
