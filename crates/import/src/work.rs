//! What the parts of an import share, and add to.

use crate::Files;
use crate::grader::Graders;
use crate::note::Notes;
use crate::provider::Endpoint;

/// An import that goes on.
pub(crate) struct Work<'w, 'f> {
    pub(crate) files: &'w mut Files<'f>,
    pub(crate) notes: Notes,
    pub(crate) graders: Graders,
    pub(crate) target: Target,
}

/// What is known of the endpoint where assertions are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// Whether it takes messages.
    pub(crate) is_chat: bool,
    /// The JSONPath of the output in its answer; `None` where that is a text.
    pub(crate) output: Option<String>,
    /// The JSONPath of the context in its answer, where an assertion reads it from there.
    pub(crate) context: Option<String>,
}

impl Target {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let response = endpoint.value.get("response");
        let is_chat = endpoint.value.get("type").is_some_and(|word| word == "openai-chat");
        let is_text = response.is_some_and(|response| response["format"] == "text");
        let path = response.and_then(|response| response["map"]["output"].as_str());
        Self {
            is_chat,
            output: (!is_chat && !is_text).then(|| path.unwrap_or("$").to_owned()),
            context: None,
        }
    }
}
