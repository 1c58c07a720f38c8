//! `answer-relevancy`: the share of the answer's statements that bear on the input.
//!
//! As *Answer Relevancy* of DeepEval: a model takes the answer apart into statements, then says of each whether it is relevant to
//! the input; the score is the number of those that are not irrelevant over the number of statements, and 1 where there are none.
//! (The metric of that name in ragas is another one: it generates questions and compares embeddings.)

use testfleet_model::configuration::Metric;

use super::asking::{Place, Step};
use super::fence::Prompt;
use super::form::Form;
use super::judged::{Jury, input, list_of_texts, list_of_verdicts, texts, verdicts};
use super::rag::{MAX_PARTS, THRESHOLD, parts, share};
use crate::finding::Finding;
use crate::problem::Problems;
use crate::subject::{Background, Seen};

/// Compiled.
#[derive(Debug)]
pub(crate) struct AnswerRelevancy {
    jury: Jury,
}

impl AnswerRelevancy {
    pub(crate) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let jury = Jury::scoring(metric, Some(THRESHOLD), (0.0, 1.0), problems)?;
        Some(Self { jury })
    }

    pub(crate) fn run(&self, seen: &Seen<'_>, background: &Background<'_>, place: &Place<'_>) -> Step<Finding> {
        let input = input(background)?;
        self.jury.hear(place, "the share of relevant statements", |place| {
            let form = Form::of("statements", [("statements", list_of_texts())]);
            let prompt = || {
                let task = format!(
                    "Take the ANSWER apart into the statements it makes, each short and understandable by itself, at most \
                     {MAX_PARTS}. Answer with a JSON object of \"statements\", a list of texts, empty when the answer states nothing."
                );
                Prompt::new(task).with("ANSWER", seen.text())
            };
            let answer = self.jury.ask(&place.within("statements"), prompt, form)?;
            let statements = parts(texts(answer, "statements"))?;
            if statements.is_empty() {
                return Ok(share(0, 0, "the answer makes no statement", "relevant to the input", &[]));
            }
            let form = Form::of("relevance", [("verdicts", list_of_verdicts(&["yes", "no", "unsure"]))])
                .with_exactly("verdicts", statements.len());
            let prompt = || {
                let task = "Say of each of the STATEMENTS, in their order, whether it is relevant to the INPUT: \"yes\" when it \
                            helps to answer or address it, \"unsure\" when it does so only indirectly, \"no\" when it has nothing to \
                            do with it. Answer with a JSON object of \"verdicts\", a list with one object of \"reason\" (a short \
                            sentence) and \"verdict\" for each statement.";
                Prompt::new(task).with("INPUT", input).with_list("STATEMENTS", &statements)
            };
            let answer = self.jury.ask(&place.within("verdicts"), prompt, form)?;
            let verdicts = verdicts(answer, "verdicts");
            let good = verdicts.iter().filter(|(verdict, _)| *verdict != "no").count();
            let bad: Vec<_> = statements
                .iter()
                .zip(&verdicts)
                .filter(|(_, (verdict, _))| *verdict == "no")
                .map(|(statement, (_, reason))| (*statement, *reason))
                .collect();
            Ok(share(good, statements.len(), "", "relevant to the input", &bad))
        })
    }
}
