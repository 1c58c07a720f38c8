//! Servers that speak the API of OpenAI, and by which ids they are named.

/// A model of such a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server<'i> {
    /// Where `/chat/completions` and `/embeddings` are; of Azure, what its host has to be put into.
    pub(crate) base: &'static str,
    /// The variable that holds its key.
    pub(crate) key: Option<&'static str>,
    /// The model, as the server calls it; of Azure the deployment.
    pub(crate) model: &'i str,
    /// Whether it is Azure, with hosts of its own and a header of its own for the key.
    pub(crate) is_azure: bool,
    /// What is not as it is there.
    pub(crate) differs: Option<&'static str>,
}

/// What a model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To say something.
    Text,
    /// For embeddings.
    Embedding,
}

/// A prefix of ids, the base URL, and the variable of the key. Longer prefixes come first.
type Row = (&'static str, &'static str, Option<&'static str>);

const OPENAI: (&str, Option<&str>) = ("https://api.openai.com/v1", Some("OPENAI_API_KEY"));
const OLLAMA: &str = "http://localhost:11434/v1";
const LOCALAI: &str = "http://localhost:8080/v1";
const MISTRAL: (&str, Option<&str>) = ("https://api.mistral.ai/v1", Some("MISTRAL_API_KEY"));
const ANTHROPIC: (&str, Option<&str>) = ("https://api.anthropic.com/v1", Some("ANTHROPIC_API_KEY"));
const GOOGLE: (&str, Option<&str>) = (
    "https://generativelanguage.googleapis.com/v1beta/openai",
    Some("GEMINI_API_KEY"),
);
/// The host stands where `{host}` is, the deployment where `{model}` is.
const AZURE: (&str, Option<&str>) = ("https://{host}/openai/deployments/{model}", Some("AZURE_API_KEY"));

/// Models that say something.
const TEXTS: [Row; 26] = [
    ("openai:chat:", OPENAI.0, OPENAI.1),
    ("openai:responses:", OPENAI.0, OPENAI.1),
    ("openai:", OPENAI.0, OPENAI.1),
    ("azure:chat:", AZURE.0, AZURE.1),
    ("azure:", AZURE.0, AZURE.1),
    ("azureopenai:chat:", AZURE.0, AZURE.1),
    ("azureopenai:", AZURE.0, AZURE.1),
    ("anthropic:messages:", ANTHROPIC.0, ANTHROPIC.1),
    ("anthropic:", ANTHROPIC.0, ANTHROPIC.1),
    ("google:", GOOGLE.0, GOOGLE.1),
    ("ollama:chat:", OLLAMA, None),
    ("ollama:completion:", OLLAMA, None),
    ("ollama:", OLLAMA, None),
    (
        "openrouter:",
        "https://openrouter.ai/api/v1",
        Some("OPENROUTER_API_KEY"),
    ),
    ("groq:", "https://api.groq.com/openai/v1", Some("GROQ_API_KEY")),
    ("deepseek:", "https://api.deepseek.com", Some("DEEPSEEK_API_KEY")),
    ("mistral:", MISTRAL.0, MISTRAL.1),
    ("togetherai:", "https://api.together.xyz/v1", Some("TOGETHER_API_KEY")),
    (
        "fireworks:",
        "https://api.fireworks.ai/inference/v1",
        Some("FIREWORKS_API_KEY"),
    ),
    ("perplexity:", "https://api.perplexity.ai", Some("PERPLEXITY_API_KEY")),
    ("xai:", "https://api.x.ai/v1", Some("XAI_API_KEY")),
    ("cerebras:", "https://api.cerebras.ai/v1", Some("CEREBRAS_API_KEY")),
    ("github:", "https://models.github.ai/inference", Some("GITHUB_TOKEN")),
    ("localai:chat:", LOCALAI, None),
    ("localai:completion:", LOCALAI, None),
    ("localai:", LOCALAI, None),
];
/// Models for embeddings.
const EMBEDDINGS: [Row; 10] = [
    ("openai:embedding:", OPENAI.0, OPENAI.1),
    ("openai:embeddings:", OPENAI.0, OPENAI.1),
    ("azure:embedding:", AZURE.0, AZURE.1),
    ("azure:embeddings:", AZURE.0, AZURE.1),
    ("azureopenai:embedding:", AZURE.0, AZURE.1),
    ("azureopenai:embeddings:", AZURE.0, AZURE.1),
    ("google:embedding:", GOOGLE.0, GOOGLE.1),
    ("ollama:embeddings:", OLLAMA, None),
    ("localai:embeddings:", LOCALAI, None),
    ("mistral:embedding:", MISTRAL.0, MISTRAL.1),
];
/// Other APIs of the same servers.
const OTHER_APIS: [&str; 12] = [
    "completion",
    "embedding",
    "embeddings",
    "image",
    "video",
    "live",
    "moderation",
    "realtime",
    "assistant",
    "transcription",
    "codex-sdk",
    "agents",
];
/// Words of ids that name models for embeddings.
const WORDS: [&str; 4] = ["embedding", "embeddings", "feature-extraction", "sentence-similarity"];

/// The server of an id; `None` where none is known for this purpose.
pub(crate) fn server_of(id: &str, purpose: Purpose) -> Option<Server<'_>> {
    let rows: &[Row] = match purpose {
        Purpose::Text => &TEXTS,
        Purpose::Embedding => &EMBEDDINGS,
    };
    let (prefix, base, key) = rows.iter().find(|(prefix, ..)| id.starts_with(prefix))?;
    let model = &id[prefix.len()..];
    let first = model.split(':').next().unwrap_or_default();
    // Ollama calls models by name and tag: `llama3:8b`.
    let is_other = OTHER_APIS.contains(&first) && model.contains(':');
    if model.is_empty() || is_other || purpose == Purpose::Text && makes_embeddings(id) {
        return None;
    }
    let differs = match *prefix {
        "openai:responses:" => Some("it is asked over chat completions, not over the API of responses"),
        "anthropic:messages:" | "anthropic:" | "google:" => Some(
            "it is asked over the API of its maker that is like OpenAI's, which leaves out some of its own options",
        ),
        _ => None,
    };
    Some(Server {
        base,
        key: *key,
        model,
        is_azure: *base == AZURE.0,
        differs,
    })
}

/// Whether an id names a model for embeddings.
pub(crate) fn makes_embeddings(id: &str) -> bool {
    id.starts_with("voyage:") || id.split(':').skip(1).any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_a_server_and_its_model() {
        let cases = [
            ("openai:chat:gpt-4.1", Purpose::Text, Some((OPENAI.0, "gpt-4.1"))),
            ("openai:o4-mini", Purpose::Text, Some((OPENAI.0, "o4-mini"))),
            ("openai:responses:gpt-5", Purpose::Text, Some((OPENAI.0, "gpt-5"))),
            ("openai:realtime:gpt-x", Purpose::Text, None),
            ("openai:embedding:x", Purpose::Text, None),
            ("openai:embedding:x", Purpose::Embedding, Some((OPENAI.0, "x"))),
            ("openai:gpt-4.1", Purpose::Embedding, None),
            ("ollama:chat:llama3:8b", Purpose::Text, Some((OLLAMA, "llama3:8b"))),
            ("ollama:llama3:8b", Purpose::Text, Some((OLLAMA, "llama3:8b"))),
            (
                "anthropic:messages:claude-x",
                Purpose::Text,
                Some((ANTHROPIC.0, "claude-x")),
            ),
            ("azureopenai:chat:dep", Purpose::Text, Some((AZURE.0, "dep"))),
            ("bedrock:x", Purpose::Text, None),
            ("openai:", Purpose::Text, None),
        ];
        for (id, purpose, expected) in cases {
            let found = server_of(id, purpose).map(|server| (server.base, server.model));
            assert_eq!(found, expected, "{id}");
        }
        assert!(makes_embeddings("huggingface:feature-extraction:x") && !makes_embeddings("openai:gpt-4.1"));
    }
}
