//! Attempts in a process of their own, for tests that workers were lost with.
//!
//! A test that ends its worker (memory, a crash in a library) takes every other test of that worker with it. The first time
//! nobody can tell which one it was. A test that was held by lost workers again and again is therefore tried in a child process
//! before it may take the next worker down: the child dies, the worker stays, and the tests beside it are not harmed
//! (ATTEMPTS-BOUNDED).
//!
//! The child is this program with the same flags and environment, and `attempt RUN/INDEX` after them, so that a list of
//! processes says what it works on. It reads one job as a line of JSON
//! on its standard input, answers with one line on its standard output, and ends when its input does, so it does not outlive
//! the worker. Its log goes where the worker's goes.

use std::ffi::OsString;
use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use testfleet_model::{RunId, Status};
use testfleet_store::{ClaimedTest, Feedback, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::attempt::{Execute as _, Job, Outcome};
use crate::clock::ServerClock;
use crate::executor::TestExecutor;
use crate::options::WorkerOptions;
use crate::tenure::Tenure;

/// The most children at once.
const CHILDREN: usize = 8;
/// Lost workers after which a test is tried apart although it has attempts left.
const SUSPECT_AFTER: u32 = 2;

/// How to start a child: the program, and everything that is said to it before the word `attempt`.
#[derive(Clone, Debug)]
pub struct Apart {
    program: PathBuf,
    arguments: Vec<OsString>,
    room: Arc<Semaphore>,
}

/// How a child ended that gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// It ended, or was ended, while it worked on the test.
    #[error("the process that made the attempt ended without an answer ({0})")]
    Ended(ExitStatus),
    /// It could not be started or talked to: nothing was tried.
    #[error("a process for the attempt could not be started: {0}")]
    NotStarted(io::Error),
}

impl Apart {
    /// Children of this very program, told what it was told.
    ///
    /// # Errors
    /// When the system does not say where the program is.
    pub fn of_this_program() -> io::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
            room: Arc::new(Semaphore::new(CHILDREN)),
        })
    }

    /// Room for a child, if there is any. Nobody waits for it with a test in hand, whose time goes on.
    pub(crate) fn room(&self) -> Option<SemaphorePermit<'_>> {
        self.room.try_acquire().ok()
    }

    /// One attempt in a child, which the caller has room for.
    pub(crate) async fn attempt(
        &self,
        test: &ClaimedTest,
        claimed_at: ServerClock,
        tenure: &Tenure,
        holder: &str,
    ) -> Result<Outcome, Lost> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg("attempt")
            .arg(job_id(test))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal is for the worker, which decides what becomes of the attempt.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Lost::NotStarted)?;
        let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Lost::NotStarted(io::ErrorKind::BrokenPipe.into()));
        };
        let mut line = serde_json::to_vec(&Given::of(test, claimed_at, tenure.left(), holder))
            .map_err(|error| Lost::NotStarted(error.into()))?;
        line.push(b'\n');
        let mut said = Vec::new();
        // An input that breaks off is a child that has ended; how it ended says more.
        let told = async {
            input.write_all(&line).await?;
            input.flush().await?;
            output.read_to_end(&mut said).await
        };
        let _ = told.await;
        let status = child.wait().await.map_err(Lost::NotStarted)?;
        // Open until here: its end would be the child's.
        drop(input);
        match serde_json::from_slice::<Said>(&said) {
            Ok(answer) if status.success() => Ok(answer.into()),
            _ => Err(Lost::Ended(status)),
        }
    }
}

fn job_id(test: &ClaimedTest) -> String {
    format!("{}/{}", test.run, test.index)
}

/// Whether a test may be what its workers were lost by. `allowed`: the attempts it may have.
pub(crate) fn is_suspect(test: &ClaimedTest, allowed: u32) -> bool {
    test.lost >= SUSPECT_AFTER || (test.lost > 0 && test.attempt >= allowed)
}

/// What the child does: one attempt of the test `job`, given on standard input and answered on standard output.
///
/// # Errors
/// When what is given cannot be read or is another test, or nobody takes the answer.
pub async fn attempt_as_asked(store: Store, mut options: WorkerOptions, job: &str) -> io::Result<()> {
    options.apart = None;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let given: Given = serde_json::from_str(&line)?;
    std::thread::spawn(end_with_the_input);
    let claimed_at = ServerClock::new(given.claimed_ms);
    let tenure = Tenure::to_begin_within(Duration::from_millis(given.begin_within_ms));
    let holder = given.holder.clone();
    let test = ClaimedTest::from(given);
    if job_id(&test) != job {
        return Err(io::Error::other(format!(
            "{} was given instead of {job}",
            job_id(&test)
        )));
    }
    let executor = TestExecutor::new(store, &options);
    let job = Job {
        test,
        claimed_at,
        tenure,
        holder,
    };
    let answer = serde_json::to_vec(&Said::from(executor.execute(job).await))?;
    let mut out = io::stdout().lock();
    out.write_all(&answer)?;
    out.flush()
}

/// The worker holds the input open for as long as it lives and wants the answer.
fn end_with_the_input() {
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    std::process::exit(1);
}

/// A job on its way to the child.
#[derive(Serialize, Deserialize)]
struct Given {
    run: RunId,
    sequential: bool,
    index: u32,
    fence: u64,
    epoch: u32,
    attempt: u32,
    lost: u32,
    released_ms: i64,
    begun_ms: Option<i64>,
    unmet: Option<u32>,
    payload: Vec<u8>,
    captured: String,
    claimed_ms: i64,
    /// What is left of the worker's lease.
    begin_within_ms: u64,
    /// The incarnation of the worker.
    holder: String,
}

impl Given {
    fn of(test: &ClaimedTest, claimed_at: ServerClock, left: Duration, holder: &str) -> Self {
        Self {
            run: test.run,
            sequential: test.sequential,
            index: test.index,
            fence: test.fence,
            epoch: test.epoch,
            attempt: test.attempt,
            lost: test.lost,
            released_ms: test.released_ms,
            begun_ms: test.begun_ms,
            unmet: test.unmet,
            payload: test.payload.clone(),
            captured: test.captured.to_string(),
            claimed_ms: claimed_at.read_ms(),
            begin_within_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            holder: holder.to_owned(),
        }
    }
}

impl From<Given> for ClaimedTest {
    fn from(given: Given) -> Self {
        Self {
            run: given.run,
            sequential: given.sequential,
            index: given.index,
            fence: given.fence,
            epoch: given.epoch,
            attempt: given.attempt,
            lost: given.lost,
            released_ms: given.released_ms,
            begun_ms: given.begun_ms,
            unmet: given.unmet,
            payload: given.payload,
            captured: given.captured.into(),
        }
    }
}

/// An outcome on its way back.
#[derive(Serialize, Deserialize)]
enum Said {
    Done {
        status: Status,
        result: String,
        captured: String,
        give_up: String,
        feedback: Feedback,
    },
    Retry {
        ms: u64,
        feedback: Feedback,
    },
    NotNow {
        ms: u64,
        sent: bool,
    },
}

impl From<Outcome> for Said {
    fn from(outcome: Outcome) -> Self {
        let ms = |delay: Duration| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Outcome::Done {
                status,
                result,
                captured,
                give_up,
                feedback,
            } => Self::Done {
                status,
                // Results are JSON documents, so nothing is lost here.
                result: String::from_utf8_lossy(&result).into_owned(),
                captured,
                give_up,
                feedback,
            },
            Outcome::Retry { delay, feedback } => Self::Retry {
                ms: ms(delay),
                feedback,
            },
            Outcome::NotNow { delay, sent } => Self::NotNow { ms: ms(delay), sent },
        }
    }
}

impl From<Said> for Outcome {
    fn from(said: Said) -> Self {
        match said {
            Said::Done {
                status,
                result,
                captured,
                give_up,
                feedback,
            } => Self::Done {
                status,
                result: result.into_bytes(),
                captured,
                give_up,
                feedback,
            },
            Said::Retry { ms, feedback } => Self::Retry {
                delay: Duration::from_millis(ms),
                feedback,
            },
            Said::NotNow { ms, sent } => Self::NotNow {
                delay: Duration::from_millis(ms),
                sent,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(lost: u32, attempt: u32) -> ClaimedTest {
        ClaimedTest {
            run: RunId::new(uuid::Uuid::from_u128(7)),
            sequential: true,
            index: 3,
            fence: 9,
            epoch: 2,
            attempt,
            lost,
            released_ms: 5,
            begun_ms: Some(4),
            unmet: Some(1),
            payload: b"\xff{}".to_vec(),
            captured: "{\"a\":1}".into(),
        }
    }

    #[test]
    fn a_test_is_suspect_after_two_lost_workers_or_at_its_last_attempt_after_one() {
        assert!(!is_suspect(&test(0, 3), 3), "it failed by itself");
        assert!(!is_suspect(&test(1, 2), 3), "one loss happens");
        assert!(is_suspect(&test(1, 2), 2), "there is no second chance");
        assert!(is_suspect(&test(2, 3), 5));
    }

    #[test]
    fn what_is_given_and_said_arrives_as_it_was() {
        let given = Given::of(&test(2, 3), ServerClock::new(11), Duration::from_secs(1), "w");
        let text = serde_json::to_string(&given).unwrap();
        assert!(!text.contains('\n'));
        let read: Given = serde_json::from_str(&text).unwrap();
        assert_eq!(read.claimed_ms, 11);
        assert_eq!(format!("{:?}", ClaimedTest::from(read)), format!("{:?}", test(2, 3)));
        let done = Outcome::Done {
            status: Status::Fail,
            result: "{\"ü\":1}".as_bytes().to_vec(),
            captured: "{}".to_owned(),
            give_up: "because".to_owned(),
            feedback: Feedback {
                tokens: Some(7),
                hold: Some(Duration::from_millis(5)),
                ..Feedback::default()
            },
        };
        let told = format!("{done:?}");
        let said = serde_json::to_string(&Said::from(done)).unwrap();
        let heard: Said = serde_json::from_str(&said).unwrap();
        assert_eq!(format!("{:?}", Outcome::from(heard)), told);
    }
}
