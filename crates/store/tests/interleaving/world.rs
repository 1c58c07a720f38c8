//! The runs and workers of a case: takes steps as real workers would, with what they believe they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{FromRedisValue, cmd};
use testfleet_model::configuration::{Breaker, Limits};
use testfleet_model::{ExecutionMode, RunId, RunState, Status};
use testfleet_store::{
    Arrangement, Budget, ClaimAnswer, Claimed, ClaimedControl, ClaimedTest, Completion, ControlJob, Delivery,
    EndpointSettings, Feedback, Filling, FleetSettings, HoldUntil, JobRef, Needs, NewRun, Reaped, Reconciled, Reopened,
    Reopening, Retry, RunPolicy, Seat, Setting, Settled, Signal, Store, StoreOptions, Want, WorkerInfo,
};
use testfleet_testkit::TestRedis;
use uuid::Uuid;

use super::invariant::{self, Past, Planned, Shape};
use super::snapshot::Snapshot;
use super::step::{Draw, Step, WORKERS};

const HOUR: Duration = Duration::from_secs(3600);
/// Steps to the end are few; more mean that nothing moves any more.
const PATIENCE: usize = 500;
/// One case in so many is held against `doctor` too.
const EXAMINED: u64 = 4;

/// A worker, and what it believes to hold.
#[derive(Default)]
struct Worker {
    seat: Option<Seat>,
    tests: Vec<ClaimedTest>,
    control: Vec<ClaimedControl>,
}

pub struct World {
    store: Store,
    connection: MultiplexedConnection,
    runs: Vec<Planned>,
    activated: Vec<bool>,
    limits: BTreeMap<&'static str, u32>,
    fleet: Option<usize>,
    plain: bool,
    workers: Vec<Worker>,
    /// Rights that their holders lost, and by whom they were held.
    lost: Vec<(Seat, ClaimedTest)>,
    /// Results that were stored.
    done: Vec<(Seat, Completion)>,
    past: Past,
    /// Whether every step is followed by an examination of the store: it takes longer than the step.
    examines: bool,
}

type Outcome = Result<(), String>;

fn at<T>(items: &[T], pick: u32) -> Option<usize> {
    (!items.is_empty()).then(|| usize::try_from(pick).unwrap() % items.len())
}

fn status_of(test: &ClaimedTest) -> Status {
    Status::ALL[usize::try_from(test.fence % 4).unwrap()]
}

fn result_of(test: &ClaimedTest, plain: bool) -> Completion {
    Completion {
        run: test.run,
        index: test.index,
        fence: test.fence,
        status: status_of(test),
        result: format!("{} by {}", status_of(test), test.fence).into_bytes(),
        captured: if test.sequential {
            format!("after {}", test.index)
        } else {
            String::new()
        },
        give_up: if test.lost > 2 { "lost".into() } else { String::new() },
        feedback: feedback_of(test, plain),
    }
}

/// Mostly calls that were taken; some that were too much, or broke.
fn feedback_of(test: &ClaimedTest, plain: bool) -> Feedback {
    if plain {
        return Feedback::default();
    }
    let signal = match test.fence % 11 {
        0 => Signal::Refused,
        1 => Signal::Overloaded,
        2 => Signal::Failed,
        3 => Signal::TimedOut,
        4 => Signal::Unsent,
        _ => Signal::Accepted,
    };
    Feedback {
        signal,
        claimed_ms: i64::try_from(test.fence / 1000).unwrap(),
        hold: test.fence.is_multiple_of(22).then_some(HOUR),
        busy: Duration::from_millis(10 + test.fence % 7),
        tokens: Some(test.fence % 5),
        cost: None,
    }
}

/// Some tests wait for others before them, some are in a group.
fn shape(draw: &mut Draw, total: usize) -> Option<Shape> {
    if draw.below(3) > 0 {
        return None;
    }
    let mut shape = Shape {
        needs: BTreeMap::new(),
        always: BTreeSet::new(),
        grouped: BTreeSet::new(),
        group_cap: 1 + draw.below(2),
    };
    for index in 0..total {
        if index > 0 && draw.below(2) == 0 {
            let mut needs = vec![draw.below(index)];
            let other = draw.below(index);
            if !needs.contains(&other) && draw.below(2) == 0 {
                needs.push(other);
            }
            shape.needs.insert(index, needs);
        }
        if draw.below(4) == 0 {
            shape.always.insert(index);
        }
        if draw.below(2) == 0 {
            shape.grouped.insert(index);
        }
    }
    Some(shape)
}

impl World {
    /// `plain`: runs without shape, budget and feedback, which depend on fences and so on the time.
    pub async fn new(redis: &TestRedis, seed: u64, plain: bool) -> Self {
        let mut draw = Draw::new(seed);
        let store = Store::new(&StoreOptions::new(redis.url())).unwrap();
        let mut connection = redis.connection().await;
        let () = cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
        let count = 2 + draw.below(3);
        let runs: Vec<Planned> = (0..count)
            .map(|number| {
                let sequential = number > 0 && draw.below(3) == 0;
                let total = 4 + draw.below(5);
                Planned {
                    run: RunId::new(Uuid::from_u128(u128::try_from(number).unwrap() + 1)),
                    sequential,
                    endpoint: if draw.below(4) < 3 || number < 2 {
                        "shared"
                    } else {
                        "free"
                    },
                    cap: if sequential { 1 } else { 1 + draw.below(4) },
                    total,
                    tenant: if draw.below(2) == 0 { "a" } else { "b" },
                    shape: shape(&mut draw, total),
                    budget: (draw.below(5) == 0).then(|| 3 + draw.below(5)),
                    fail_fast: (draw.below(5) == 0).then_some(2),
                }
            })
            .collect();
        let runs: Vec<Planned> = runs
            .into_iter()
            .map(|plan| if plain { plan.plain() } else { plan })
            .collect();
        let limits = [("shared", u32::try_from(1 + draw.below(3)).unwrap()), ("free", 100)].into();
        let mut world = Self {
            store,
            connection,
            activated: vec![false; runs.len()],
            runs,
            limits,
            fleet: None,
            plain,
            workers: (0..=WORKERS).map(|_| Worker::default()).collect(),
            lost: Vec::new(),
            done: Vec::new(),
            past: Past::default(),
            examines: seed % EXAMINED == 1,
        };
        world.submit().await;
        world
    }

    async fn submit(&mut self) {
        for plan in &self.runs {
            let run = NewRun {
                id: plan.run,
                configuration: "{}",
                name: "run",
                configuration_id: None,
                mode: if plan.sequential {
                    ExecutionMode::Sequential
                } else {
                    ExecutionMode::Parallel
                },
                endpoint: plan.endpoint,
                cap: u32::try_from(plan.cap).unwrap(),
                lease: HOUR,
                staging_timeout: HOUR,
                idempotency: None,
                policy: RunPolicy {
                    tenant: plan.tenant,
                    weight: if plan.total.is_multiple_of(2) { 1.0 } else { 10.0 },
                    fail_fast: plan.fail_fast,
                    budget: Budget {
                        requests: plan.budget.map(|most| u64::try_from(most).unwrap()),
                        ..Budget::default()
                    },
                    ..RunPolicy::default()
                },
            };
            self.store.create(&run).await.unwrap();
            let payloads = vec!["test"; plan.total];
            self.store.stage(plan.run, 0, &payloads, HOUR).await.unwrap();
            if let Some(shape) = &plan.shape {
                arrange(&self.store, plan, shape).await;
            }
        }
        for worker in 0..WORKERS {
            self.register(worker).await;
        }
    }

    /// A run's limits of its endpoint: the adaptive ones, and those of `shared` also a breaker.
    fn limits_of(&self, endpoint: &str) -> Limits {
        Limits {
            max_concurrency: Some(self.limits[endpoint]),
            breaker: (endpoint == "shared").then_some(Breaker {
                failures: 2,
                cool_down: HOUR,
            }),
            ..Limits::default()
        }
    }

    async fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut self.connection).await.unwrap()
    }

    fn key(&self, name: &str) -> String {
        self.store.keys().shard(name)
    }

    /// F96: whatever happens to a store that nobody damages, an examination of it has nothing to say.
    async fn check_by_examination(&self) -> Outcome {
        let examination = self.store.examine().await.unwrap();
        match examination.findings.first() {
            None => Ok(()),
            Some(finding) => Err(format!("a false alarm: {finding:?}")),
        }
    }

    pub async fn check(&mut self) -> Outcome {
        let now = Snapshot::read(&mut self.connection).await;
        let now_ms = self.store.now_ms().await.unwrap();
        invariant::check(&now, &self.runs, &["shared", "free"], now_ms, &mut self.past)?;
        if self.examines {
            self.check_by_examination().await?;
        }
        Ok(())
    }

    /// Runs a command that no script would.
    pub async fn damage(&mut self, command: &str) {
        let mut words: Vec<String> = command.split(' ').map(ToOwned::to_owned).collect();
        words[1] = self.key(&words[1]);
        for word in &mut words {
            for (number, plan) in self.runs.iter().enumerate() {
                *word = word.replace(&format!("R{number}"), &plan.run.to_string());
            }
        }
        let _: deadpool_redis::redis::Value = self.ask(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    pub async fn take(&mut self, step: Step) -> Outcome {
        match step {
            Step::Activate { pick } => self.activate(pick).await,
            Step::Claim { worker, tests, control } => self.claim(worker, Want { tests, control }).await?,
            Step::ClaimAnswerLost { worker, tests, control } => {
                self.lose_answer(worker, Want { tests, control }).await?
            }
            Step::Complete { worker, jobs, want } => self.complete(worker, jobs, want).await?,
            Step::CompleteAgain { pick } => self.complete_again(pick).await?,
            Step::CompleteTwiceInABatch { worker } => self.complete_twice(worker).await?,
            Step::ZombieCompletes { pick } => self.zombie_completes(pick).await?,
            Step::ZombieRetries { pick } => self.zombie_retries(pick).await?,
            Step::Retry { worker, pick, later } => self.retry(worker, pick, later).await,
            Step::HandBack { worker, jobs, later } => self.hand_back(worker, jobs, later).await,
            Step::HandBackControl { worker, later } => self.hand_back_control(worker, later).await,
            Step::Extend { worker, pick } => self.extend(worker, pick).await,
            Step::WorkerDies { worker } => self.die(worker).await,
            Step::JobExpires { pick } => self.expire_job(pick).await,
            Step::Register { worker } => self.register(worker).await,
            Step::Heartbeat { worker } => self.heartbeat(worker).await,
            Step::Cancel { pick } => {
                let run = self.runs[at(&self.runs, pick).unwrap()].run;
                self.store.cancel(run).await.unwrap();
            }
            Step::Pause { pick } => {
                let run = self.runs[at(&self.runs, pick).unwrap()].run;
                self.store.pause(run).await.unwrap();
            }
            Step::Resume { pick } => {
                let run = self.runs[at(&self.runs, pick).unwrap()].run;
                self.store.resume(run).await.unwrap();
            }
            Step::SetLimit { pick } => self.set_limit(pick).await,
            Step::Hold { pick, later } => {
                let until = if later {
                    HoldUntil::Released
                } else {
                    HoldUntil::After(HOUR)
                };
                self.store.hold_endpoint(endpoint_at(pick), until, "").await.unwrap();
            }
            Step::Release { pick } => drop(self.store.release_endpoint(endpoint_at(pick)).await.unwrap()),
            Step::SetFleet { pick } => self.set_fleet(pick).await,
            Step::Reopen { pick, last } => self.reopen(pick, last).await?,
            Step::DeadlinePasses { pick } => {
                let run = self.runs[at(&self.runs, pick).unwrap()].run;
                self.pass_deadline(run).await;
            }
            Step::Sweep => drop(self.store.sweep(HOUR).await.unwrap()),
            Step::DelaysEnd => self.end_delays().await,
            Step::Fill { worker, pick } => self.fill(worker, Some(pick)).await,
            Step::Collect { worker } => self.collect(worker).await,
            Step::Settle { worker, sent } => self.settle_notification(worker, sent).await,
            Step::ScriptsForgotten => {
                let () = self.ask(&["SCRIPT", "FLUSH"]).await;
            }
        }
        self.check().await
    }

    async fn pass_deadline(&mut self, run: RunId) {
        let () = self
            .ask(&["ZADD", &self.key("deadlines"), "XX", "1", &run.to_string()])
            .await;
        self.store.sweep(HOUR).await.unwrap();
    }

    /// Reopens an ended run, or goes on reopening one, with about half of the tests that can be tried again.
    async fn reopen(&mut self, pick: u32, last: bool) -> Outcome {
        let plan = &self.runs[at(&self.runs, pick).unwrap()];
        let run = plan.run;
        let limits = self.limits_of(plan.endpoint);
        let view = self.store.run_view(run).await.unwrap().unwrap();
        let now = Snapshot::read(&mut self.connection).await;
        let mut chosen: Vec<(u32, Status)> = now
            .map(&format!("run:{run}:results"))
            .iter()
            .map(|(index, result)| {
                let status = result.split(' ').next().and_then(Status::from_word).unwrap();
                (index.parse().unwrap(), status)
            })
            .filter(|(index, _)| (pick >> (4 + index)) & 1 == 1)
            .collect();
        chosen.sort_by_key(|(index, _)| *index);
        let again = view.state == RunState::Reopening;
        let reopening = Reopening {
            run,
            epoch: if again { view.epoch } else { view.epoch + 1 },
            deadline: HOUR,
            limits,
            staging_timeout: HOUR,
        };
        let answer = self.store.reopen(&reopening, &chosen, last).await.unwrap();
        let changed = matches!(answer, Reopened::Opened { .. } | Reopened::Reopening { .. });
        if changed != (again || (view.state.is_terminal() && view.total > 0 && answer != Reopened::Nothing)) {
            return Err(format!("{answer:?} for a run that is {}", view.state));
        }
        // Results that were taken back are nobody's any more.
        let now = Snapshot::read(&mut self.connection).await;
        let results = now.map(&format!("run:{run}:results"));
        self.done
            .retain(|(_, done)| done.run != run || results.contains_key(&done.index.to_string()));
        Ok(())
    }

    async fn activate(&mut self, pick: u32) {
        let number = at(&self.runs, pick).unwrap();
        let plan = &self.runs[number];
        let limits = self.limits_of(plan.endpoint);
        let total = u32::try_from(plan.total).unwrap();
        self.store.activate(plan.run, total, HOUR, &limits).await.unwrap();
        self.activated[number] = true;
    }

    async fn set_limit(&mut self, pick: u32) {
        let max_concurrency = match pick / 2 % 6 {
            0 => Setting::Lift,
            1 | 2 => Setting::Clear,
            more => Setting::Set(more - 2),
        };
        let settings = EndpointSettings {
            max_concurrency,
            ..EndpointSettings::default()
        };
        self.store.set_endpoint(endpoint_at(pick), &settings).await.unwrap();
    }

    async fn set_fleet(&mut self, pick: u32) {
        let most = Some(pick % 5).filter(|most| *most > 0);
        let settings = FleetSettings {
            max_concurrency: Some(most),
            ..FleetSettings::default()
        };
        self.store.set_fleet(settings).await.unwrap();
        self.fleet = most.map(|most| usize::try_from(most).unwrap());
    }

    /// Nothing is given out that something stands in the way of.
    async fn check_given(&mut self, tests: &[ClaimedTest]) -> Outcome {
        if tests.is_empty() {
            return Ok(());
        }
        let now = Snapshot::read(&mut self.connection).await;
        let now_ms = self.store.now_ms().await.unwrap();
        let held: usize = self
            .runs
            .iter()
            .map(|plan| now.map(&format!("run:{}:owners", plan.run)).len())
            .sum();
        let lingering = now.map("lingering");
        let lasting = lingering
            .values()
            .filter(|until| until.parse::<f64>().unwrap() > now_ms as f64);
        let held = held + lasting.count();
        if self.fleet.is_some_and(|most| held > most) {
            return Err(format!(
                "{held} tests are in flight, the fleet's limit is {:?}",
                self.fleet
            ));
        }
        for test in tests {
            let plan = self.runs.iter().find(|plan| plan.run == test.run).unwrap();
            let limits = now.map(&format!("endpoint:{}:limits", plan.endpoint));
            if invariant::is_held(&limits, now_ms) {
                return Err(format!("{test:?} was given out and its endpoint is held: {limits:?}"));
            }
            let Some(shape) = &plan.shape else { continue };
            let index = usize::try_from(test.index).unwrap();
            let results = now.map(&format!("run:{}:results", test.run));
            let needs = shape.needs.get(&index).map_or(&[][..], Vec::as_slice);
            let of = |need: &usize| results.get(&need.to_string());
            let missing = needs.iter().any(|need| of(need).is_none());
            let unmet = needs
                .iter()
                .any(|need| of(need).is_some_and(|result| !result.starts_with("Pass")));
            let always = shape.always.contains(&index);
            if (missing && test.unmet.is_none()) || test.unmet.is_some() != (unmet && !always) {
                return Err(format!(
                    "{test:?} was given out: missing {missing}, unmet {unmet}, always {always}"
                ));
            }
        }
        Ok(())
    }

    async fn register(&mut self, worker: usize) {
        let name = format!("w{worker}");
        let (seat, _) = self.store.register(&name, HOUR, &WorkerInfo::default()).await.unwrap();
        self.workers[worker].seat = Some(seat);
    }

    async fn keep(&mut self, worker: usize, answer: ClaimAnswer) -> Outcome {
        let ClaimAnswer::Claimed(Claimed { tests, control, .. }) = answer else {
            // A dead worker that does not know it yet, which is the only reason here.
            return Ok(());
        };
        for test in &tests {
            let first = self
                .lost
                .iter()
                .filter(|(_, old)| (old.run, old.index) == (test.run, test.index));
            if first.into_iter().any(|(_, old)| old.fence >= test.fence) {
                return Err(format!("the fence of {test:?} did not rise"));
            }
            if test.sequential
                && test.epoch == 1
                && test.index > 0
                && &*test.captured != format!("after {}", test.index - 1).as_str()
            {
                return Err(format!("captured values are not those of the test before: {test:?}"));
            }
        }
        self.check_given(&tests).await?;
        self.workers[worker].tests.extend(tests);
        self.workers[worker].control.extend(control);
        Ok(())
    }

    async fn claim(&mut self, worker: usize, want: Want) -> Outcome {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return Ok(());
        };
        let answer = self.store.claim(&seat, want).await.unwrap();
        self.keep(worker, answer).await
    }

    async fn lose_answer(&mut self, worker: usize, want: Want) -> Outcome {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return Ok(());
        };
        drop(self.store.claim(&seat, want).await.unwrap());
        let held = &self.workers[worker];
        let tests = held
            .tests
            .iter()
            .map(|test| JobRef::test(test.run, test.index, test.fence));
        let control = held.control.iter().map(|job| JobRef::control(job.job, job.fence));
        let known: Vec<JobRef> = tests.chain(control).collect();
        if let Reconciled::Ok { seat: new, .. } = self.store.reconcile(&seat, &known).await.unwrap() {
            self.workers[worker].seat = Some(new);
            // The claim was delayed on its way and arrives now.
            if !matches!(self.store.claim(&seat, want).await.unwrap(), ClaimAnswer::Stale) {
                return Err("a claim of an older epoch was answered".into());
            }
            self.check_reconciled(worker).await?;
        }
        Ok(())
    }

    async fn complete(&mut self, worker: usize, jobs: usize, want: usize) -> Outcome {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return Ok(());
        };
        let count = jobs.min(self.workers[worker].tests.len());
        let tests: Vec<ClaimedTest> = self.workers[worker].tests.drain(..count).collect();
        let results: Vec<Completion> = tests.iter().map(|test| result_of(test, self.plain)).collect();
        let want = Want {
            tests: want,
            control: 0,
        };
        let (settled, answer) = self.store.complete(&seat, &results, want).await.unwrap();
        for (completion, word) in results.into_iter().zip(settled) {
            if word == Settled::Stored {
                self.done.push((seat.clone(), completion));
            }
        }
        self.keep(worker, answer).await
    }

    async fn complete_again(&mut self, pick: u32) -> Outcome {
        let Some(chosen) = at(&self.done, pick) else {
            return Ok(());
        };
        let (seat, completion) = self.done[chosen].clone();
        let (settled, _) = self
            .store
            .complete(&seat, &[completion], Want::default())
            .await
            .unwrap();
        if settled == [Settled::Already] {
            Ok(())
        } else {
            Err(format!("{settled:?}"))
        }
    }

    async fn complete_twice(&mut self, worker: usize) -> Outcome {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return Ok(());
        };
        let Some(test) = self.workers[worker].tests.pop() else {
            return Ok(());
        };
        let first = result_of(&test, self.plain);
        let other = Completion {
            result: b"other".to_vec(),
            ..first.clone()
        };
        let batch = [first.clone(), first.clone(), other];
        let (settled, _) = self.store.complete(&seat, &batch, Want::default()).await.unwrap();
        use Settled::{Already, Closed, Lost, Stored};
        match settled[..] {
            [Stored, Already, Lost] => self.done.push((seat, first)),
            [Closed | Lost, Lost, Lost] => {}
            _ => return Err(format!("{settled:?}")),
        }
        Ok(())
    }

    async fn zombie_completes(&mut self, pick: u32) -> Outcome {
        let Some(chosen) = at(&self.lost, pick) else {
            return Ok(());
        };
        let (seat, test) = self.lost[chosen].clone();
        let (settled, _) = self
            .store
            .complete(&seat, &[result_of(&test, self.plain)], Want::default())
            .await
            .unwrap();
        if settled == [Settled::Lost] {
            Ok(())
        } else {
            Err(format!("{settled:?} for {test:?}"))
        }
    }

    async fn zombie_retries(&mut self, pick: u32) -> Outcome {
        let Some(chosen) = at(&self.lost, pick) else {
            return Ok(());
        };
        let (seat, test) = self.lost[chosen].clone();
        let before = Snapshot::read(&mut self.connection).await;
        let job = JobRef::test(test.run, test.index, test.fence);
        let retry = Retry {
            run: test.run,
            index: test.index,
            fence: test.fence,
            delay: HOUR,
            feedback: testfleet_store::Feedback::default(),
        };
        self.store.retry(&seat, &[retry]).await.unwrap();
        self.store
            .hand_back(&seat, std::slice::from_ref(&job), HOUR)
            .await
            .unwrap();
        self.store.extend(&seat, &job, HOUR).await.unwrap();
        let after = Snapshot::read(&mut self.connection).await;
        // The bell may ring: there may be work, and a ring promises nothing.
        let same = before
            .names()
            // Nor does it matter that a call of a closed run is known to have stopped.
            .filter(|name| !["bell", "ready:endpoints", "wakes"].contains(name) && !name.ends_with(":lingering"))
            .all(|name| before.list(name) == after.list(name));
        if same {
            Ok(())
        } else {
            Err(format!("{test:?} changed something"))
        }
    }

    async fn retry(&mut self, worker: usize, pick: u32, later: bool) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let Some(chosen) = at(&self.workers[worker].tests, pick) else {
            return;
        };
        let test = self.workers[worker].tests.remove(chosen);
        let delay = if later { HOUR } else { Duration::ZERO };
        let retry = Retry {
            run: test.run,
            index: test.index,
            fence: test.fence,
            delay,
            feedback: feedback_of(&test, self.plain),
        };
        self.store.retry(&seat, &[retry]).await.unwrap();
        self.lost.push((seat, test));
    }

    async fn hand_back(&mut self, worker: usize, jobs: usize, later: bool) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let count = jobs.min(self.workers[worker].tests.len());
        let tests: Vec<ClaimedTest> = self.workers[worker].tests.drain(..count).collect();
        let refs: Vec<JobRef> = tests
            .iter()
            .map(|test| JobRef::test(test.run, test.index, test.fence))
            .collect();
        let delay = if later { HOUR } else { Duration::ZERO };
        self.store.hand_back(&seat, &refs, delay).await.unwrap();
        self.lost.extend(tests.into_iter().map(|test| (seat.clone(), test)));
    }

    async fn hand_back_control(&mut self, worker: usize, later: bool) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let Some(control) = self.workers[worker].control.pop() else {
            return;
        };
        let delay = if later { HOUR } else { Duration::ZERO };
        let job = JobRef::control(control.job, control.fence);
        self.store.hand_back(&seat, &[job], delay).await.unwrap();
    }

    async fn extend(&mut self, worker: usize, pick: u32) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let Some(chosen) = at(&self.workers[worker].tests, pick) else {
            return;
        };
        let test = &self.workers[worker].tests[chosen];
        let job = JobRef::test(test.run, test.index, test.fence);
        self.store.extend(&seat, &job, HOUR).await.unwrap();
    }

    async fn reap(&mut self) -> Reaped {
        let now = self.store.now_ms().await.unwrap().to_string();
        let () = self
            .ask(&["HSET", &self.key("reaper"), "tick", &now, "grace_until", "0"])
            .await;
        self.store.reap(HOUR).await.unwrap()
    }

    /// Stops renewing and is reaped. Its seat stays with it: it does not know, and goes on as a zombie.
    async fn die(&mut self, worker: usize) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let () = self.ask(&["ZADD", &self.key("workers"), "XX", "1", &seat.worker]).await;
        self.reap().await;
        let tests = std::mem::take(&mut self.workers[worker].tests);
        self.lost.extend(tests.into_iter().map(|test| (seat.clone(), test)));
        self.workers[worker].control.clear();
    }

    /// Its hard deadline passes. Its holder notices, or goes on and comes too late.
    async fn expire_job(&mut self, pick: u32) {
        let leases: Vec<String> = self.ask(&["ZRANGE", &self.key("leases"), "0", "-1"]).await;
        let Some(chosen) = at(&leases, pick) else { return };
        let () = self.ask(&["ZADD", &self.key("leases"), "1", &leases[chosen]]).await;
        self.reap().await;
        for worker in &mut self.workers {
            let Some(seat) = worker.seat.clone() else { continue };
            let (expired, kept): (Vec<_>, Vec<_>) = worker
                .tests
                .iter()
                .cloned()
                .partition(|test| format!("{}/{}", test.run, test.index) == leases[chosen]);
            if pick.is_multiple_of(3) {
                worker.tests = kept;
            }
            self.lost.extend(expired.into_iter().map(|test| (seat.clone(), test)));
        }
    }

    /// All that a worker is recorded to hold is what it knows of.
    async fn check_reconciled(&mut self, worker: usize) -> Outcome {
        let now = Snapshot::read(&mut self.connection).await;
        let known = &self.workers[worker].tests;
        for plan in &self.runs {
            for (index, owner) in now.map(&format!("run:{}:owners", plan.run)) {
                let mut parts = owner.split('|');
                let ours = parts.next() == Some(format!("w{worker}").as_str());
                let fence = parts.next().unwrap_or_default();
                let is_it = |test: &ClaimedTest| {
                    (test.run, test.index.to_string(), test.fence.to_string())
                        == (plan.run, index.clone(), fence.into())
                };
                if ours && !known.iter().any(is_it) {
                    return Err(format!(
                        "w{worker} does not know that it holds {}/{index} by {fence}",
                        plan.run
                    ));
                }
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self, worker: usize) {
        let runs: Vec<(RunId, u32)> = self.runs.iter().map(|plan| (plan.run, 1)).collect();
        let name = format!("w{worker}");
        self.store.heartbeat(&name, HOUR, Some("running"), &runs).await.unwrap();
    }

    /// Time passes: what waits for it is due.
    async fn end_delays(&mut self) {
        for endpoint in ["shared", "free"] {
            let limits = self.key(&format!("endpoint:{endpoint}:limits"));
            for field in ["retry_until", "open_until", "hold_until"] {
                let until: Option<String> = self.ask(&["HGET", &limits, field]).await;
                if until.is_some_and(|until| until != "-1") {
                    let () = self.ask(&["HSET", &limits, field, "1"]).await;
                }
            }
            let lingering = self.key(&format!("endpoint:{endpoint}:lingering"));
            let calls: Vec<String> = self.ask(&["ZRANGE", &lingering, "0", "-1"]).await;
            for call in calls {
                let () = self.ask(&["ZADD", &lingering, "1", &call]).await;
            }
        }
        self.make_due(&["delayed", "control", "mails", "wakes", "lingering"])
            .await;
    }

    async fn make_due(&mut self, names: &[&str]) {
        for name in names {
            let key = self.key(name);
            let members: Vec<String> = self.ask(&["ZRANGE", &key, "0", "-1"]).await;
            for member in members {
                let () = self.ask(&["ZADD", &key, "1", &member]).await;
            }
        }
    }

    /// The first collection a worker believes to hold.
    fn collection(&self, worker: usize) -> Option<(Seat, usize, RunId, u64)> {
        let seat = self.workers[worker].seat.clone()?;
        let jobs = self.workers[worker].control.iter().enumerate();
        let mut collections = jobs.filter_map(|(at, control)| match control.job {
            ControlJob::Collect(run) => Some((seat.clone(), at, run, control.fence)),
            ControlJob::Notify(_) => None,
        });
        collections.next()
    }

    /// Fills one index, or all.
    async fn fill(&mut self, worker: usize, pick: Option<u32>) {
        let Some((seat, _, run, fence)) = self.collection(worker) else {
            return;
        };
        let total = self.runs.iter().find(|plan| plan.run == run).unwrap().total;
        let indices: Vec<u32> = (0..u32::try_from(total).unwrap()).collect();
        let chosen = match pick {
            Some(pick) => vec![indices[at(&indices, pick).unwrap()]],
            None => indices,
        };
        let fillings: Vec<Filling> = chosen
            .into_iter()
            .map(|index| Filling {
                index,
                status: Status::Cancelled,
                result: b"Cancelled filled".to_vec(),
            })
            .collect();
        self.store.fill(&seat, run, fence, &fillings).await.unwrap();
    }

    async fn collect(&mut self, worker: usize) {
        let Some((seat, chosen, run, fence)) = self.collection(worker) else {
            return;
        };
        let summary = format!("by {fence}");
        let ended = RunState::Completed;
        let answer = self
            .store
            .collect(&seat, run, fence, ended, &summary, Some("mail"), HOUR)
            .await
            .unwrap();
        if !matches!(answer, testfleet_store::Collected::Incomplete { .. }) {
            self.workers[worker].control.remove(chosen);
        }
    }

    async fn settle_notification(&mut self, worker: usize, sent: bool) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let jobs = &self.workers[worker].control;
        let Some(chosen) = jobs
            .iter()
            .position(|control| matches!(control.job, ControlJob::Notify(_)))
        else {
            return;
        };
        let control = self.workers[worker].control.remove(chosen);
        let ControlJob::Notify(run) = control.job else { return };
        let again = Delivery::Again {
            delay: HOUR,
            reason: "451".into(),
        };
        let delivery = if sent { Delivery::Sent } else { again };
        self.store
            .settle_notification(&seat, run, control.fence, &delivery)
            .await
            .unwrap();
    }

    /// All workers die, and a new one does what is left; nothing helps it but the transitions themselves.
    pub async fn drive_to_the_end(&mut self) -> Outcome {
        for worker in 0..WORKERS {
            self.die(worker).await;
        }
        self.register(WORKERS).await;
        // What only an operator ends.
        for endpoint in ["shared", "free"] {
            self.store.release_endpoint(endpoint).await.unwrap();
        }
        let runs: Vec<RunId> = self.runs.iter().map(|plan| plan.run).collect();
        for run in runs {
            self.store.resume(run).await.unwrap();
            let view = self.store.run_view(run).await.unwrap().unwrap();
            if view.state == RunState::Reopening {
                self.pass_deadline(run).await;
            }
        }
        self.check().await?;
        for _ in 0..PATIENCE {
            self.end_delays().await;
            self.claim(WORKERS, Want { tests: 3, control: 2 }).await?;
            self.complete(WORKERS, 3, 0).await?;
            self.fill(WORKERS, None).await;
            self.collect(WORKERS).await;
            self.settle_notification(WORKERS, true).await;
            self.check().await?;
            if self.all_ended().await {
                return self.check_the_end().await;
            }
        }
        Err("runs do not end".into())
    }

    async fn all_ended(&mut self) -> bool {
        let runs: Vec<(RunId, bool)> = self
            .runs
            .iter()
            .map(|plan| plan.run)
            .zip(self.activated.clone())
            .collect();
        for (run, activated) in runs {
            let state = self.store.run_view(run).await.unwrap().unwrap().state;
            if activated && !state.is_terminal() {
                return false;
            }
        }
        let waiting: usize = self.ask(&["EXISTS", &self.key("control"), &self.key("mails")]).await;
        waiting == 0
    }

    async fn check_the_end(&mut self) -> Outcome {
        // What was never activated is swept away.
        let staged: Vec<RunId> = self.runs.iter().map(|plan| plan.run).collect();
        for run in staged {
            let () = self
                .ask(&["ZADD", &self.key("deadlines"), "XX", "1", &run.to_string()])
                .await;
        }
        self.store.sweep(HOUR).await.unwrap();
        let left = self.store.deregister(&format!("w{WORKERS}")).await.unwrap();
        if left != 0 {
            return Err(format!("the last worker still holds {left} jobs"));
        }
        let now = Snapshot::read(&mut self.connection).await;
        invariant::check_nothing_left(&now)
    }
}

fn endpoint_at(pick: u32) -> &'static str {
    if pick.is_multiple_of(2) { "shared" } else { "free" }
}

async fn arrange(store: &Store, plan: &Planned, shape: &Shape) {
    let number = |index: usize| u32::try_from(index).unwrap();
    let all = 0..plan.total;
    let order: Vec<u32> = if plan.sequential {
        all.map(number).collect()
    } else {
        // Not the submitted order.
        all.rev()
            .filter(|index| !shape.needs.contains_key(index))
            .map(number)
            .collect()
    };
    let needs: Vec<Needs> = shape
        .needs
        .iter()
        .map(|(index, needs)| Needs {
            index: number(*index),
            dependencies: needs.iter().copied().map(number).collect(),
            always: shape.always.contains(index),
        })
        .collect();
    let mut dependents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for needs in &needs {
        for dependency in &needs.dependencies {
            dependents.entry(*dependency).or_default().push(needs.index);
        }
    }
    let dependents: Vec<(u32, Vec<u32>)> = dependents.into_iter().collect();
    let grouped: Vec<(u32, &str)> = shape.grouped.iter().map(|index| (number(*index), "g")).collect();
    let groups = [("g", number(shape.group_cap))];
    for arrangement in [
        Arrangement::Order {
            before: 0,
            digest: 1,
            indices: &order,
        },
        Arrangement::Needs(&needs),
        Arrangement::Dependents(&dependents),
        Arrangement::Groups(&groups),
        Arrangement::Grouped(&grouped),
    ] {
        store.arrange(plan.run, HOUR, arrangement).await.unwrap();
    }
}
