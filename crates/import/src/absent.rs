//! Kinds of assertions that have nothing like them here, and what can take their place.

/// Kinds, or beginnings of kinds (with a `*`), and why they are left out.
const ABSENT: [(&str, &str); 25] = [
    (
        "select-best",
        "compares outputs with each other, and here each test stands by itself",
    ),
    (
        "max-score",
        "compares outputs with each other, and here each test stands by itself",
    ),
    (
        "classifier",
        "asks a classifier; a `judge` with `categories` asks a model for a category",
    ),
    (
        "moderation",
        "asks an API of moderation; an `llm-rubric` or a `webhook` can take its place",
    ),
    (
        "guardrails",
        "reads what guardrails of a provider say; `response.map` and `jsonpath` can take its place",
    ),
    (
        "pi",
        "asks a service of its own; `llm-rubric` or `g-eval` can take its place",
    ),
    (
        "search-rubric",
        "needs a judge that searches the web; judges of testfleet use no tools",
    ),
    (
        "research-rubric",
        "needs a judge that searches the web; judges of testfleet use no tools",
    ),
    (
        "agent-rubric",
        "needs a judge that uses tools; judges of testfleet use none",
    ),
    (
        "video-rubric",
        "needs a judge that sees videos; judges of testfleet read texts",
    ),
    (
        "conversation-relevance",
        "looks at parts of a conversation; an `llm-rubric` for each turn can take its place",
    ),
    ("perplexity", "needs probabilities of tokens, which are not collected"),
    (
        "perplexity-score",
        "needs probabilities of tokens, which are not collected",
    ),
    ("gleu", "is no measure of testfleet; `bleu` is like it"),
    (
        "meteor",
        "is no measure of testfleet; `rouge-l`, `f1` or `similar` can take its place",
    ),
    (
        "is-sql",
        "needs a parser of SQL; a `regex` or a `webhook` can take its place",
    ),
    (
        "contains-sql",
        "needs a parser of SQL; a `regex` or a `webhook` can take its place",
    ),
    (
        "is-html",
        "needs a parser of HTML; a `regex` or a `webhook` can take its place",
    ),
    (
        "contains-html",
        "needs a parser of HTML; a `regex` or a `webhook` can take its place",
    ),
    (
        "contains-xml",
        "finds XML within a text; `is-xml` takes the whole output, a `regex` a part",
    ),
    (
        "is-valid-*",
        "compares calls with the functions that were offered; `tool-call-f1` or `jsonpath` can take its place",
    ),
    ("trajectory:*", "reads traces, which are not collected"),
    ("trace-*", "reads traces, which are not collected"),
    (
        "promptfoo:redteam:*",
        "is an attack of promptfoo's own, graded by its own rules",
    ),
    ("human", "is decided by a person"),
];

/// Why a kind is left out; `None` when it is not one of these.
pub(crate) fn absent(word: &str) -> Option<String> {
    let bare = word.strip_prefix("not-").unwrap_or(word);
    let is = |kind: &str| match kind.strip_suffix('*') {
        Some(begin) => bare.starts_with(begin),
        None => bare == kind,
    };
    let why = match bare {
        "javascript" | "python" | "ruby" => "runs code, which tests of testfleet cannot do",
        "skill-used" => "reads what is known of skills, which is not collected",
        "similar:dot" | "similar:euclidean" => "measures otherwise than by the cosine, as `similar` does",
        _ => ABSENT.iter().find(|(kind, _)| is(kind))?.1,
    };
    Some(format!("`{word}` {why}"))
}
