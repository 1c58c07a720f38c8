//! A worker: what it holds, what it waits for, and what it makes of answers. After `pump.rs`, `heartbeat.rs`,
//! `collection.rs` and `delivery.rs` of the worker, with room for one test and one control job.

use crate::call::Call;
use crate::set::Set;
use crate::state::{Job, Kind, Results};
use crate::transition::{Given, Grant, Known};

/// The process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// The scenario does not have it.
    #[default]
    Absent,
    /// It runs.
    Up,
    /// It is stopped, and does not know.
    Frozen,
    /// It crashed.
    Dead,
}

/// How far a test has come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TestStep {
    /// Its endpoint is being called.
    Running,
    /// The same, and the process was frozen meanwhile: the exception of NO-OVERLAP.
    RunningFrozen,
    /// Its endpoint has answered, and its metrics ask somebody else.
    Asking,
    /// The result was sent and not acknowledged.
    Done(Kind),
    /// It was stopped because its run is closed.
    Closed,
    /// It was stopped because the lease could not be renewed.
    LetGo,
}

/// A claimed test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldTest {
    pub(crate) run: u8,
    pub(crate) index: u8,
    pub(crate) fence: u8,
    pub(crate) attempt: u8,
    pub(crate) epoch: u8,
    pub(crate) step: TestStep,
    /// Whether a call was made.
    pub(crate) sent: bool,
    /// Whether it is known that what the attempt tells was taken.
    pub(crate) told: bool,
    /// Its call goes on although its worker is cut off, or past its hard deadline: the exception of LIMITS-HOLD.
    pub(crate) cut_off: bool,
}

/// How far a control job has come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControlStep {
    /// Nothing was read yet.
    Begun,
    /// Collection: these tests have no result.
    Missing(Set),
    /// Collection: all results were read.
    Folded(Results),
    /// Collection: results are being taken back for a round.
    Recovering,
    /// Notification: the right was extended; the mail is about to go out.
    Sending,
    /// Notification: the mail went out, or could not.
    Tried(bool),
    /// To be handed back.
    Returning,
    /// Only with [`Mutation::CollectionByCaller`](crate::Mutation): the collection is still to be queued.
    Announcing,
}

/// A claimed control job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldControl {
    pub(crate) run: u8,
    pub(crate) job: Job,
    pub(crate) fence: u8,
    pub(crate) epoch: u8,
    pub(crate) step: ControlStep,
}

/// A worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker {
    /// The process.
    pub process: Process,
    /// Its epoch; 0 while it has to register.
    pub seat: u8,
    /// An answer was lost: it has to reconcile.
    pub unsure: bool,
    /// By its own clock its lease may have ended since it asked for what it waits for.
    pub lapsed: bool,
    /// The answer of a claim that is on its way to it.
    pub(crate) answer: Option<Grant>,
    /// The test it works on.
    pub(crate) test: Option<HeldTest>,
    /// The control job it works on.
    pub(crate) control: Option<HeldControl>,
    /// A call that was sent and given up, and that the server may still execute.
    pub(crate) wire: Option<Call>,
}

impl Worker {
    /// Whether it can do something now.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.process == Process::Up
    }

    /// The run of the test whose endpoint it is calling, frozen calls not included.
    #[must_use]
    pub fn calling(&self) -> Option<u8> {
        self.test
            .filter(|held| held.step == TestStep::Running)
            .map(|held| held.run)
    }

    /// The test whose endpoint it is calling.
    #[must_use]
    pub(crate) fn call(&self) -> Option<HeldTest> {
        self.test
            .filter(|held| matches!(held.step, TestStep::Running | TestStep::RunningFrozen))
    }

    /// The test it works on, whether its endpoint has answered or not.
    #[must_use]
    pub(crate) fn works(&self) -> Option<HeldTest> {
        let asks = self.test.filter(|held| held.step == TestStep::Asking);
        self.call().or(asks)
    }

    /// The right to this test ends although it goes on.
    pub(crate) fn cut_off(&mut self) {
        let calls = self.call().is_some();
        if let Some(held) = &mut self.test {
            held.cut_off = calls;
        }
    }

    /// What it tells `reconcile`.
    pub(crate) fn known(&self) -> Known {
        let control = self.control.filter(|held| held.step != ControlStep::Announcing);
        [
            self.test.map(|held| (held.run, Job::Test(held.index), held.fence)),
            control.map(|held| (held.run, held.job, held.fence)),
        ]
    }

    /// Whether it knows that it holds the job.
    pub(crate) fn knows(&self, run: u8, job: Job) -> bool {
        self.known()
            .into_iter()
            .flatten()
            .any(|(of, what, _)| (of, what) == (run, job))
    }

    pub(crate) fn test_at(&mut self, step: TestStep) {
        if let Some(held) = &mut self.test {
            held.step = step;
        }
    }

    pub(crate) fn control_at(&mut self, step: ControlStep) {
        if let Some(held) = &mut self.control {
            held.step = step;
        }
    }

    /// An answer of `claim` or `complete`. Without trust in its lease it starts no test, and gives it back.
    pub(crate) fn take(&mut self, grant: Grant, attempts: u8, trusts: bool) {
        match grant {
            Grant::Unregistered => self.lose_seat(),
            Grant::Stale => self.unsure = true,
            Grant::Jobs { test, control } => {
                if let Some(given) = test {
                    self.start(given, attempts);
                    if !trusts {
                        self.test_at(TestStep::LetGo);
                    }
                }
                if let Some(Given {
                    run, job, fence, epoch, ..
                }) = control
                {
                    self.control = Some(HeldControl {
                        run,
                        job,
                        fence,
                        epoch,
                        step: ControlStep::Begun,
                    });
                }
            }
        }
    }

    /// Beyond the last attempt the test gets its error without another call.
    fn start(&mut self, given: Given, attempts: u8) {
        let Given {
            run,
            job: Job::Test(index),
            fence,
            attempt,
            epoch,
            unmet,
        } = given
        else {
            return;
        };
        let step = match attempt > attempts {
            _ if unmet => TestStep::Done(Kind::Filled),
            true => TestStep::Done(Kind::Fail),
            false => TestStep::Running,
        };
        self.test = Some(HeldTest {
            run,
            index,
            fence,
            attempt,
            epoch,
            step,
            sent: step == TestStep::Running,
            told: false,
            cut_off: false,
        });
    }

    /// It was taken for lost: what it held belongs to others.
    pub(crate) fn lose_seat(&mut self) {
        self.seat = 0;
        self.unsure = false;
        self.test = None;
        self.control = None;
    }

    /// The process is gone. What it sent is not.
    pub(crate) fn crash(&mut self) {
        *self = Self {
            process: Process::Dead,
            wire: self.wire,
            ..Self::default()
        };
    }

    pub(crate) fn freeze(&mut self) {
        self.process = Process::Frozen;
        if self.calling().is_some() {
            self.test_at(TestStep::RunningFrozen);
        }
    }
}
