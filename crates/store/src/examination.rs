//! Examining a store while it is in use (`examine_run`, `examine_tests`, `examine_index`), mending what is safe to mend
//! (the `mend_…` scripts: each looks again and mends in one step), and `repair` of runs that no script can work on.
//!
//! A subject is looked at in one step, and between two transitions every invariant holds; so a store that is sound gives
//! no finding, however busy it is. Subjects are looked at one after the other: a damage that is done meanwhile may be
//! missed. Found are subjects by the indexes and by a scan of the keys, so that one that lost its entry is seen too.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use deadpool_redis::redis::cmd;
use serde::Serialize;
use testfleet_model::{RunId, Status};

use crate::answer::Answer;
use crate::error::{StoreError, StoreErrorKind};
use crate::finding::{Finding, FindingKind};
use crate::link::Store;
use crate::script::{self, Script};
use crate::submission::millis;

/// Tests looked at in one step.
const TESTS_AT_ONCE: u32 = 500;
/// Entries of an index looked at in one step.
const ENTRIES_AT_ONCE: usize = 500;
/// Keys per step of the scan.
const SCAN_STEP: usize = 1_000;
/// Results read at once while they are counted.
const RESULTS_AT_ONCE: u32 = 500;
/// Looks and mends until nothing mendable is left: mending one thing can bring out another.
const ROUNDS: usize = 6;
/// How often results are counted anew while they still come in.
const COUNTINGS: usize = 5;

/// What all runs share.
const SHARED: &[&str] = &[
    "clock",
    "fence",
    "bell",
    "reaper",
    "sweeper",
    "endpoints",
    "workers",
    "runs",
    "deadlines",
    "ready:endpoints",
    "wakes",
    "tenants",
    "fleet",
    "alarm",
    "lingering",
    "paused",
    "delayed",
    "leases",
    "control",
    "mails",
    "control:owners",
    "control:attempts",
    "outbox",
    "dead",
    "dead:jobs",
    "quarantine",
    "quarantine:reasons",
    "configs",
    "baselines",
];

/// What came of an examination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// Runs looked at.
    pub runs: u64,
    /// What does not hold.
    pub findings: Vec<Finding>,
}

impl Examination {
    /// Whether every invariant holds.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// What came of mending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// What was found and mended.
    pub mended: Vec<Finding>,
    /// What is left.
    pub left: Examination,
}

/// What became of a run that no script could work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// It is being collected; tests without a result end in error.
    Collecting {
        /// What was damaged.
        reason: String,
    },
    /// What was wrong is gone, and the run goes on.
    Released {
        /// What was damaged.
        reason: String,
    },
    /// It had ended before.
    Ended {
        /// What was damaged.
        reason: String,
    },
    /// It had never been activated: it is removed by the sweeper.
    Abandoned {
        /// What was damaged.
        reason: String,
    },
    /// Nothing was left that could be ended; a record is among the dead.
    Lost {
        /// What was damaged.
        reason: String,
    },
    /// Nothing is wrong with it.
    Sound,
}

/// Only look, or mend in the step that looks.
#[derive(Clone, Copy)]
enum Hand {
    Look,
    Mend { retention: Duration },
}

/// What the keys and the indexes name.
#[derive(Default)]
struct Subjects {
    runs: BTreeSet<String>,
    workers: BTreeSet<String>,
    endpoints: BTreeSet<String>,
    configurations: BTreeSet<String>,
    baselines: BTreeSet<String>,
    submissions: BTreeSet<String>,
    models: BTreeSet<String>,
}

impl Subjects {
    /// Takes the name of a key, the root left out.
    fn add(&mut self, name: &str) {
        let Some((kind, rest)) = name.split_once(':') else {
            return;
        };
        // Names of endpoints and idempotency keys may have colons; ids of runs, workers and configurations have none.
        let id = rest.split(':').next().unwrap_or(rest).to_owned();
        match kind {
            "run" => self.runs.insert(id),
            "worker" => self.workers.insert(id),
            "endpoint" => match rest.rsplit_once(':') {
                Some((endpoint, _)) => self.endpoints.insert(endpoint.to_owned()),
                None => false,
            },
            "config" => self.configurations.insert(rest.to_owned()),
            "baseline" => self.baselines.insert(rest.to_owned()),
            "submission" => self.submissions.insert(rest.to_owned()),
            // Of a model, too: its name has the address of its server.
            "model" => match rest.rsplit_once(':') {
                Some((model, _)) => self.models.insert(model.to_owned()),
                None => false,
            },
            _ => false,
        };
    }
}

impl Store {
    /// Holds every invariant against a store that may be in use. Writes nothing.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn examine(&self) -> Result<Examination, StoreError> {
        self.pass(Hand::Look).await
    }

    /// Mends what can be mended safely, each finding in one step that looks again first, until nothing mendable is left.
    /// `retention` is for keys of ended runs that never expire.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn mend(&self, retention: Duration) -> Result<Mended, StoreError> {
        let mut mended: Vec<Finding> = Vec::new();
        for _ in 0..ROUNDS {
            let left = self.pass(Hand::Look).await?;
            if !left.findings.iter().any(|finding| finding.mendable) {
                return Ok(Mended { mended, left });
            }
            let pass = self.pass(Hand::Mend { retention }).await?;
            mended.extend(pass.findings.into_iter().filter(|finding| finding.mendable));
        }
        let left = self.pass(Hand::Look).await?;
        Ok(Mended { mended, left })
    }

    /// The same for one run and its tests, in one pass. Answers what was mended.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn mend_run(&self, run: &str, retention: Duration) -> Result<Vec<Finding>, StoreError> {
        let mut seen = Seen::default();
        self.whole_run(run, Hand::Mend { retention }, &mut seen).await?;
        Ok(seen.findings.into_iter().filter(|finding| finding.mendable).collect())
    }

    /// Mends what is recorded of jobs in flight: leases, slots and lists of workers that belong to nobody.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn mend_holdings(&self, retention: Duration) -> Result<Vec<Finding>, StoreError> {
        let (hand, mut seen) = (Hand::Mend { retention }, Seen::default());
        self.index("leases", "", hand, &mut seen).await?;
        for endpoint in self.shared_members("endpoints").await? {
            self.index("slots", &endpoint, hand, &mut seen).await?;
        }
        for worker in self.shared_members("workers").await? {
            self.index("jobs", &worker, hand, &mut seen).await?;
        }
        Ok(seen.findings.into_iter().filter(|finding| finding.mendable).collect())
    }

    /// Brings a run that no script can work on to its end, or back to the others when nothing is wrong any more.
    /// `retention` is for what is left of a run that is lost.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn repair(&self, run: &str, retention: Duration) -> Result<Repaired, StoreError> {
        let mut answer = self
            .run(&script::REPAIR, |command| {
                command.arg(run).arg(millis(retention));
            })
            .await?;
        let word = answer.text()?;
        if word == "sound" {
            return Ok(Repaired::Sound);
        }
        let reason = answer.lossy()?;
        match word.as_str() {
            "collecting" => Ok(Repaired::Collecting { reason }),
            "released" => Ok(Repaired::Released { reason }),
            "ended" => Ok(Repaired::Ended { reason }),
            "abandoned" => Ok(Repaired::Abandoned { reason }),
            "lost" => Ok(Repaired::Lost { reason }),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Runs that were set aside because a script could not work on them, longest first; at most `limit`. With the reason.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn quarantined(&self, limit: usize) -> Result<Vec<(String, String)>, StoreError> {
        let mut range = cmd("ZRANGE");
        range
            .arg(self.keys().shard("quarantine"))
            .arg(0)
            .arg(i64::try_from(limit).unwrap_or(i64::MAX) - 1);
        let runs: Vec<String> = self.query("ZRANGE", &range).await?;
        let mut found = Vec::with_capacity(runs.len());
        for run in runs {
            let mut get = cmd("HGET");
            get.arg(self.keys().shard("quarantine:reasons")).arg(&run);
            let reason: Option<String> = self.query("HGET", &get).await?;
            found.push((run, reason.unwrap_or_default()));
        }
        Ok(found)
    }

    async fn pass(&self, hand: Hand) -> Result<Examination, StoreError> {
        let mut seen = Seen::default();
        let mut subjects = self.subjects().await?;
        // Endpoints before what is in them, and both before the runs: what is made anew there is filled again from here.
        for name in self.shared_members("endpoints").await? {
            subjects.endpoints.insert(name);
        }
        for endpoint in &subjects.endpoints {
            self.index("endpoint", endpoint, hand, &mut seen).await?;
        }
        for index in SHARED {
            let entries = self.index(index, "", hand, &mut seen).await?;
            match *index {
                "runs" | "quarantine" => subjects.runs.extend(entries),
                "workers" => subjects.workers.extend(entries),
                "endpoints" => subjects.endpoints.extend(entries),
                _ => {}
            }
        }
        for endpoint in &subjects.endpoints {
            self.index("slots", endpoint, hand, &mut seen).await?;
            self.index("lingering", endpoint, hand, &mut seen).await?;
            for tenant in self.index("tenants", endpoint, hand, &mut seen).await? {
                let line = format!("{tenant}@{endpoint}");
                self.index("waiting", &line, hand, &mut seen).await?;
            }
        }
        for worker in &subjects.workers {
            self.index("worker", worker, hand, &mut seen).await?;
            self.index("jobs", worker, hand, &mut seen).await?;
        }
        for id in &subjects.configurations {
            self.index("config", id, hand, &mut seen).await?;
        }
        for name in &subjects.baselines {
            self.index("baseline", name, hand, &mut seen).await?;
        }
        for id in &subjects.submissions {
            self.index("submission", id, hand, &mut seen).await?;
        }
        for model in &subjects.models {
            self.index("model", model, hand, &mut seen).await?;
        }
        let mut runs = 0;
        for run in &subjects.runs {
            runs += u64::from(self.whole_run(run, hand, &mut seen).await?);
        }
        Ok(Examination {
            runs,
            findings: seen.findings,
        })
    }

    /// Everything that a scan of the keys names.
    async fn subjects(&self) -> Result<Subjects, StoreError> {
        let mut subjects = Subjects::default();
        let start = format!("{}:", self.keys().root());
        let mut cursor = 0_u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{}*", escaped(&start)));
            scan.arg("COUNT").arg(SCAN_STEP);
            let (next, names): (u64, Vec<Vec<u8>>) = self.query("SCAN", &scan).await?;
            for name in names {
                if let Some(name) = String::from_utf8_lossy(&name).strip_prefix(&start) {
                    subjects.add(name);
                }
            }
            if next == 0 {
                return Ok(subjects);
            }
            cursor = next;
        }
    }

    /// The members of a sorted set that all runs share; none when it is something else.
    async fn shared_members(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let mut range = cmd("ZRANGE");
        range.arg(self.keys().shard(name)).arg(0).arg(-1);
        match self.query("ZRANGE", &range).await {
            Err(error) if error.kind() == StoreErrorKind::Defect => Ok(Vec::new()),
            answer => answer,
        }
    }

    /// An index from its beginning to its end. Answers its entries.
    async fn index(&self, index: &str, owner: &str, hand: Hand, seen: &mut Seen) -> Result<Vec<String>, StoreError> {
        let script: &'static Script = match hand {
            Hand::Look => &script::EXAMINE_INDEX,
            Hand::Mend { .. } => &script::MEND_INDEX,
        };
        let mut entries = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let answer = self
                .run(script, |command| {
                    command.arg(index).arg(owner).arg(&cursor).arg(ENTRIES_AT_ONCE);
                })
                .await;
            let subject = if owner.is_empty() { index } else { owner };
            let Some(mut answer) = seen.readable(None, subject, answer)? else {
                return Ok(entries);
            };
            cursor = answer.text()?;
            let mut page = answer.array()?;
            while !page.is_empty() {
                entries.push(page.lossy()?);
            }
            seen.read(None, answer)?;
            if cursor == "0" {
                return Ok(entries);
            }
        }
    }

    /// One run, and its tests when its counts do not tell that they are all somewhere. Answers whether there is one.
    async fn whole_run(&self, run: &str, hand: Hand, seen: &mut Seen) -> Result<bool, StoreError> {
        let answer = match hand {
            Hand::Look => {
                self.run(&script::EXAMINE_RUN, |command| {
                    command.arg(run);
                })
                .await
            }
            Hand::Mend { retention } => {
                self.run(&script::MEND_RUN, |command| {
                    command.arg(run).arg(millis(retention));
                })
                .await
            }
        };
        let Some(mut answer) = seen.readable(Some(run), run, answer)? else {
            return Ok(true);
        };
        let state = answer.text()?;
        let look_at_tests = answer.number::<u32>()? == 1;
        let total: u32 = answer.number()?;
        let kinds = seen.read(Some(run), answer)?;
        if look_at_tests {
            self.tests_of(run, total, hand, seen).await?;
        }
        if kinds.contains(&FindingKind::CountsWrong) && matches!(hand, Hand::Mend { .. }) {
            self.count_anew(run).await?;
        }
        Ok(state != "gone")
    }

    async fn tests_of(&self, run: &str, total: u32, hand: Hand, seen: &mut Seen) -> Result<(), StoreError> {
        let script: &'static Script = match hand {
            Hand::Look => &script::EXAMINE_TESTS,
            Hand::Mend { .. } => &script::MEND_TESTS,
        };
        let mut first = 0;
        while first < total {
            let answer = self
                .run(script, |command| {
                    command.arg(run).arg(first).arg(TESTS_AT_ONCE);
                })
                .await;
            if let Some(answer) = seen.readable(Some(run), run, answer)? {
                seen.read(Some(run), answer)?;
            }
            first = first.saturating_add(TESTS_AT_ONCE);
        }
        Ok(())
    }

    /// Counts the results of a run by status, and writes the counts if no further result came in meanwhile. A result that
    /// cannot be read counts as an error, as in the summary.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn count_anew(&self, run: &str) -> Result<(), StoreError> {
        let Ok(id) = run.parse::<RunId>() else { return Ok(()) };
        for _ in 0..COUNTINGS {
            let Some(view) = self.run_view(id).await? else {
                return Ok(());
            };
            let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
            let mut read = 0;
            let mut first = 0;
            while first < view.total {
                for result in self.results(id, first, RESULTS_AT_ONCE).await?.into_iter().flatten() {
                    read += 1;
                    *counts.entry(status_of(&result).word()).or_default() += 1;
                }
                first += RESULTS_AT_ONCE;
            }
            let mut answer = self
                .run(&script::MEND_COUNTS, |command| {
                    command.arg(run).arg(read);
                    for (status, count) in &counts {
                        command.arg(status).arg(count);
                    }
                })
                .await?;
            if answer.text()? == "counted" {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Findings so far, each once.
#[derive(Default)]
struct Seen {
    findings: Vec<Finding>,
    known: HashSet<(FindingKind, Option<String>, String)>,
}

impl Seen {
    fn add(&mut self, finding: Finding) {
        let identity = (finding.code, finding.test_run_id.clone(), finding.subject.clone());
        if self.known.insert(identity) {
            self.findings.push(finding);
        }
    }

    /// An answer; `None` when what was to be looked at cannot be read, which is a finding.
    fn readable(
        &mut self,
        run: Option<&str>,
        subject: &str,
        answer: Result<Answer, StoreError>,
    ) -> Result<Option<Answer>, StoreError> {
        match answer {
            Err(error) if error.kind() == StoreErrorKind::Defect => {
                self.add(Finding {
                    code: FindingKind::Unexaminable,
                    test_run_id: run.map(ToOwned::to_owned),
                    subject: subject.to_owned(),
                    detail: error.to_string(),
                    mendable: false,
                });
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    /// The findings of an answer. Answers their kinds.
    fn read(&mut self, run: Option<&str>, mut answer: Answer) -> Result<Vec<FindingKind>, StoreError> {
        let mut kinds = Vec::new();
        while !answer.is_empty() {
            let word = answer.text()?;
            let code = FindingKind::from_word(&word).ok_or_else(|| answer.unknown_word(&word))?;
            let subject = answer.lossy()?;
            let detail = answer.lossy()?;
            let mendable = answer.number::<u32>()? == 1;
            kinds.push(code);
            self.add(Finding {
                code,
                test_run_id: run.map(ToOwned::to_owned).or_else(|| run_of(&subject)),
                subject,
                detail,
                mendable,
            });
        }
        Ok(kinds)
    }
}

/// The run that a job or an entry is about.
fn run_of(subject: &str) -> Option<String> {
    let id = subject.split('/').next()?;
    let id = id.rsplit(':').next()?;
    id.parse::<RunId>().ok().map(|run| run.to_string())
}

fn status_of(result: &[u8]) -> Status {
    #[derive(serde::Deserialize)]
    struct Stored {
        status: Status,
    }
    serde_json::from_slice::<Stored>(result).map_or(Status::Error, |stored| stored.status)
}

/// A text whose characters mean themselves in a pattern of `SCAN`.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_their_subjects() {
        let mut subjects = Subjects::default();
        for name in [
            "run:7",
            "run:8:owners",
            "worker:w:jobs",
            "endpoint:a:b:slots",
            "config:c:1",
            "baseline:main",
            "submission:ci:42",
            "model:m@http://judge:80:calls",
            "ready",
            "dead:jobs",
            "aside:run:9",
        ] {
            subjects.add(name);
        }
        assert_eq!(subjects.runs, ["7", "8"].map(ToOwned::to_owned).into());
        assert_eq!(subjects.workers, ["w".to_owned()].into());
        assert_eq!(subjects.endpoints, ["a:b".to_owned()].into());
        assert_eq!(subjects.configurations, ["c:1".to_owned()].into());
        assert_eq!(subjects.baselines, ["main".to_owned()].into());
        assert_eq!(subjects.submissions, ["ci:42".to_owned()].into());
        assert_eq!(subjects.models, ["m@http://judge:80".to_owned()].into());
    }

    #[test]
    fn the_root_means_itself_in_a_pattern() {
        assert_eq!(escaped("t*[x]:{0}:"), "t\\*\\[x\\]:{0}:");
    }
}
