//! The language of `transform` and `prompt`: that of the endpoint's templates.

use testfleet_endpoint::{Part, PartedTemplate, ValueTemplate};
use testfleet_evaluation::{Language, PROMPT_VARIABLES, PromptPart, PromptTemplate, Template, VARIABLES};

/// The language of templates of metrics.
pub const LANGUAGE: Language = Language { value, prompt };

fn value(source: &str) -> Result<Template, String> {
    let template = ValueTemplate::compile(source, &VARIABLES)?;
    Ok(Template::new(move |variables| template.value(variables)))
}

fn prompt(source: &str) -> Result<PromptTemplate, String> {
    let template = PartedTemplate::compile(source, &PROMPT_VARIABLES)?;
    let used: Vec<&'static str> = PROMPT_VARIABLES
        .into_iter()
        .filter(|variable| template.uses(variable))
        .collect();
    Ok(PromptTemplate::new(used, move |variables, words| {
        let parts = template.parts(variables, words)?;
        let part = |part| match part {
            Part::Words(text) => PromptPart::Words(text),
            Part::Value(text) => PromptPart::Value(text),
        };
        Ok(parts.into_iter().map(part).collect())
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use testfleet_evaluation::{MetricSet, Subject};
    use testfleet_model::configuration::{Metric, MetricKind};

    use super::*;

    fn said(transform: &str, output: &serde_json::Value) -> Result<bool, String> {
        let metric = Metric {
            value: Some(json!("paris")),
            transform: Some(transform.to_owned()),
            ..Metric::new(MetricKind::Equals)
        };
        let set = MetricSet::compile_with(&[metric], LANGUAGE).map_err(|problems| problems[0].to_string())?;
        let result = set.evaluate(&Subject::of(output), || Duration::ZERO).remove(0);
        result.is_successful.ok_or(result.reason)
    }

    #[test]
    fn a_template_shows_a_metric_what_it_makes() {
        assert_eq!(said("{{ output | trim | lower }}", &json!(" Paris ")), Ok(true));
        assert_eq!(said("{{ output.city | lower }}", &json!({"city": "Paris"})), Ok(true));
        assert_eq!(said("{{ output }}!", &json!("paris")), Ok(false));
    }

    #[test]
    fn a_template_that_gives_nothing_is_an_error() {
        let missing = said("{{ output.city }}", &json!({"town": "Paris"})).unwrap_err();
        assert!(missing.contains("gives nothing"), "{missing}");
        let unknown = said("{{ answer }}", &json!("x")).unwrap_err();
        assert!(unknown.contains("there is no variable `answer` here"), "{unknown}");
        let secret = said("{{ secrets.KEY }}", &json!("x")).unwrap_err();
        assert!(secret.contains("metrics[0].transform"), "{secret}");
    }
}
