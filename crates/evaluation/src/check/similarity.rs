//! Similarities from 0 to 1 between the output and a reference, or the best of several: `normalized-levenshtein`,
//! `jaro-winkler`, `rouge-n`, `rouge-l`, `bleu`, `f1`.

use std::borrow::Cow;

use testfleet_model::configuration::{Metric, MetricKind, Operator};

use super::bound::{Bound, Rule};
use super::reference::texts;
use super::{bleu, f1, jaro_winkler, levenshtein, rouge};
use crate::finding::Outcome;
use crate::problem::Problems;
use crate::subject::{Seen, Subject};

/// Bytes of a text that is compared word by word; it takes some 50 MB while it is.
const MAX_BYTES: usize = 1_024 * 1_024;

#[derive(Clone, Copy, Debug)]
enum Measure {
    Levenshtein,
    JaroWinkler,
    RougeN(usize),
    RougeL,
    Bleu,
    F1,
}

/// A similarity, held against a threshold.
#[derive(Debug)]
pub(crate) struct Similarity {
    kind: MetricKind,
    measure: Measure,
    bound: Bound,
    references: Option<Vec<String>>,
}

impl Similarity {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let kind = metric.kind;
        let (measure, threshold, what) = match kind {
            MetricKind::NormalizedLevenshtein => (Measure::Levenshtein, None, "the similarity, from 0 to 1"),
            MetricKind::JaroWinkler => (Measure::JaroWinkler, None, "the similarity, from 0 to 1"),
            MetricKind::RougeN => (
                Measure::RougeN(metric.n.unwrap_or(1) as usize),
                None,
                "the F-measure, from 0 to 1",
            ),
            MetricKind::RougeL => (Measure::RougeL, None, "the F-measure, from 0 to 1"),
            MetricKind::Bleu => (Measure::Bleu, None, "the BLEU, from 0 to 1"),
            _ => (Measure::F1, Some(0.5), "the F1 of words, from 0 to 1"),
        };
        if metric.n.is_some_and(|n| n == 0 || n > Metric::MAX_N) {
            problems.add(
                "n",
                format!("must be from 1 to {}, the words of an n-gram", Metric::MAX_N),
            );
            return None;
        }
        let rule = Rule {
            operator: Operator::Ge,
            threshold,
            max: 1.0,
            what,
        };
        let references = match &metric.value {
            None => Some(None),
            Some(value) => problems.take("value", texts(kind.word(), value)).map(Some),
        };
        let bound = Bound::compile(metric, &rule, problems);
        Some(Self {
            kind,
            measure,
            bound: bound?,
            references: references?,
        })
    }

    pub(super) fn run(&self, seen: &Seen<'_>, subject: &Subject<'_>) -> Outcome {
        let references = match &self.references {
            Some(references) => Cow::Borrowed(references),
            None => Cow::Owned(texts(self.kind.word(), subject.expected()?)?),
        };
        let score = self.measure.score(seen.text(), &references)?;
        Ok(self
            .bound
            .hold(score, &format!("the {} {score:.3}", self.measure.name())))
    }
}

impl Measure {
    fn score(self, output: &str, references: &[String]) -> Result<f64, String> {
        if !matches!(self, Self::Levenshtein | Self::JaroWinkler) {
            check_length(output, references)?;
        }
        match self {
            Self::Levenshtein => best(references, |reference| levenshtein::similarity(output, reference)),
            Self::JaroWinkler => best(references, |reference| jaro_winkler::similarity(output, reference)),
            Self::RougeN(n) => best(references, |reference| Ok(rouge::n(output, reference, n))),
            Self::RougeL => best(references, |reference| rouge::l(output, reference)),
            Self::Bleu => Ok(bleu::sentence(output, references)),
            Self::F1 => best(references, |reference| Ok(f1::f1(output, reference))),
        }
    }

    fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Levenshtein => "normalized Levenshtein similarity",
            Self::JaroWinkler => "Jaro-Winkler similarity",
            Self::RougeN(n) => return Cow::Owned(format!("ROUGE-{n} F-measure")),
            Self::RougeL => "ROUGE-L F-measure",
            Self::Bleu => "sentence BLEU",
            Self::F1 => "token F1",
        })
    }
}

fn best(references: &[String], score: impl Fn(&str) -> Result<f64, String>) -> Result<f64, String> {
    references
        .iter()
        .try_fold(0.0, |best: f64, reference| Ok(best.max(score(reference)?)))
}

/// All references together count, since all of them are read.
fn check_length(output: &str, references: &[String]) -> Result<(), String> {
    let wanted: usize = references.iter().map(String::len).sum();
    if output.len() > MAX_BYTES || wanted > MAX_BYTES {
        return Err(format!(
            "the texts are too long to compare ({} and {wanted} bytes); {MAX_BYTES} bytes are the most that are compared",
            output.len()
        ));
    }
    Ok(())
}
