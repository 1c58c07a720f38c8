//! `is-xml`: the whole output is one well-formed XML document.

use roxmltree::{Document, Error, ParsingOptions};

use crate::excerpt::{quote, sentence};
use crate::finding::{Finding, Outcome};
use crate::subject::Seen;

/// Elements, texts, comments and the like of a document; about 100 MB while it is read.
const MAX_NODES: u32 = 1_000_000;

/// Parses. Document types are not read: their entities could make a small document a large one.
#[derive(Debug)]
pub(crate) struct Xml;

impl Xml {
    #[expect(clippy::unused_self, reason = "every check is run like this")]
    pub(super) fn run(&self, seen: &Seen<'_>) -> Outcome {
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        // White space in front of an XML declaration is none of the answer's meaning.
        match Document::parse_with_options(seen.text().trim(), options) {
            Ok(document) => {
                let root = quote(document.root_element().tag_name().name());
                Ok(Finding::holds(
                    true,
                    format!("the output is XML with the root element {root}"),
                ))
            }
            Err(Error::DtdDetected) => Err("the output has a document type declaration, which is not read".to_owned()),
            Err(Error::NodesLimitReached) => Err(format!("the output has more than {MAX_NODES} XML nodes")),
            Err(error) => {
                let (output, error) = (quote(seen.text()), sentence(&error.to_string(), 200));
                Ok(Finding::holds(
                    false,
                    format!("the output {output} is not XML: {error}"),
                ))
            }
        }
    }
}
