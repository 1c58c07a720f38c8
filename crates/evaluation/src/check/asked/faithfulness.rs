//! `faithfulness`: the share of the answer's claims that the context supports.
//!
//! As *Faithfulness* of ragas: a model takes the answer apart into claims, then says of each whether it can be inferred from the
//! context; the score is supported claims over claims. An answer without claims supports and contradicts nothing: 1, as in
//! DeepEval. (DeepEval counts claims that the context says nothing about as faithful; here they are not.)

use testfleet_model::configuration::Metric;

use super::asking::{Place, Step};
use super::fence::Prompt;
use super::form::Form;
use super::judged::{Jury, context, list_of_texts, list_of_verdicts, texts, verdicts};
use super::rag::{MAX_PARTS, THRESHOLD, parts, share};
use crate::finding::Finding;
use crate::problem::Problems;
use crate::subject::{Background, Seen};

/// Compiled.
#[derive(Debug)]
pub(crate) struct Faithfulness {
    jury: Jury,
}

impl Faithfulness {
    pub(crate) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let jury = Jury::scoring(metric, Some(THRESHOLD), (0.0, 1.0), problems)?;
        Some(Self { jury })
    }

    pub(crate) fn run(&self, seen: &Seen<'_>, background: &Background<'_>, place: &Place<'_>) -> Step<Finding> {
        let context = context(background)?;
        self.jury.hear(place, "the share of supported claims", |place| {
            let form = Form::of("claims", [("claims", list_of_texts())]);
            let prompt = || {
                let task = format!(
                    "List the factual claims that the ANSWER makes, each short and understandable by itself (names instead of \
                     pronouns), at most {MAX_PARTS}. The INPUT, where there is one, is what it was given to. Answer with a JSON object \
                     of \"claims\", a list of texts, empty when the answer claims nothing."
                );
                Prompt::new(task).with_some("INPUT", background.input).with("ANSWER", seen.text())
            };
            let answer = self.jury.ask(&place.within("claims"), prompt, form)?;
            let claims = parts(texts(answer, "claims"))?;
            if claims.is_empty() {
                return Ok(share(0, 0, "the answer claims nothing", "supported by the context", &[]));
            }
            let form = Form::of("support", [("verdicts", list_of_verdicts(&["yes", "no"]))])
                .with_exactly("verdicts", claims.len());
            let prompt = || {
                let task = "Say of each of the CLAIMS, in their order, whether it can be inferred from the CONTEXT alone: \"yes\" or \
                            \"no\"; what you know from elsewhere does not count. Answer with a JSON object of \"verdicts\", a list with \
                            one object of \"reason\" (a short sentence) and \"verdict\" for each claim.";
                Prompt::new(task).with_list("CONTEXT", context).with_list("CLAIMS", &claims)
            };
            let answer = self.jury.ask(&place.within("verdicts"), prompt, form)?;
            let verdicts = verdicts(answer, "verdicts");
            let good = verdicts.iter().filter(|(verdict, _)| *verdict == "yes").count();
            let bad: Vec<_> = claims
                .iter()
                .zip(&verdicts)
                .filter(|(_, (verdict, _))| *verdict != "yes")
                .map(|(claim, (_, reason))| (*claim, *reason))
                .collect();
            Ok(share(good, claims.len(), "", "supported by the context", &bad))
        })
    }
}
