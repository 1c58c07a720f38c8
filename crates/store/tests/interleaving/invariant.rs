//! What holds after every step, whatever came before it.

use std::collections::{BTreeMap, BTreeSet};

use testfleet_model::RunId;

use super::snapshot::Snapshot;

/// What the invariants have to know beside the database.
pub struct Planned {
    pub run: RunId,
    pub sequential: bool,
    pub endpoint: &'static str,
    pub cap: usize,
    pub total: usize,
}

/// The states seen and the results stored so far: they only move forward.
#[derive(Default)]
pub struct Past {
    states: BTreeMap<RunId, (u32, String)>,
    results: BTreeMap<(RunId, String), String>,
    finals: BTreeMap<RunId, Option<String>>,
}

/// Damage that a wrong script could do (a command in which `R0`, `R1` stand for the first runs), and a word of the
/// sentence that notices it.
pub const DAMAGES: &[(&str, &str)] = &[
    ("SET run:R0:countdown 99", "countdown"),
    ("RPUSH run:R0:again 0", "places"),
    ("HINCRBY run:R0 next 1", "places"),
    ("DEL leases", "leases"),
    ("DEL endpoint:shared:slots", "slots"),
    ("DEL worker:w0:jobs", "jobs of"),
    ("DEL workers", "not registered"),
    ("HSET run:R0 state collecting", "collection"),
    ("HSET run:R0 state queued", "back"),
    ("DEL endpoint:shared:parked", "neither"),
    ("ZADD ready 0 R1", "both"),
    ("HSET run:R1:results 0 Pass", "still held"),
    ("HINCRBY run:R0 count:Fail 1", "there are"),
    ("ZADD paused 1 R0", "paused as well"),
    ("LPUSH bell 1 1", "bell"),
];

fn rank(state: &str) -> usize {
    let order = ["preparing", "queued", "progress", "collecting"];
    let first = if state == "reopening" { "preparing" } else { state };
    order.iter().position(|word| *word == first).unwrap_or(order.len())
}

macro_rules! hold {
    ($condition:expr, $($sentence:tt)+) => {
        if !$condition {
            return Err(format!($($sentence)+));
        }
    };
}

pub fn check(now: &Snapshot, runs: &[Planned], limits: &BTreeMap<&str, usize>, past: &mut Past) -> Result<(), String> {
    let mut held: BTreeMap<String, String> = BTreeMap::new();
    let mut slots: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    for plan in runs {
        check_run(now, plan, past)?;
        let ready = now.members("ready").contains(&plan.run.to_string());
        *waiting.entry(plan.endpoint).or_default() += usize::from(ready);
        for (index, owner) in now.map(&format!("run:{}:owners", plan.run)) {
            let job = format!("{}/{index}", plan.run);
            slots.entry(plan.endpoint).or_default().insert(job.clone());
            held.insert(job, owner.split('|').next().unwrap().to_owned());
        }
    }
    for (job, owner) in now.map("control:owners") {
        held.insert(job, owner.split('|').next().unwrap().to_owned());
    }
    let leases = now.members("leases");
    let owned: BTreeSet<String> = held.keys().cloned().collect();
    hold!(leases == owned, "the leases are {leases:?}, the owners have {owned:?}");
    let registered = now.members("workers");
    let mut jobs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (job, worker) in held {
        hold!(
            registered.contains(&worker),
            "{worker} holds {job} and is not registered"
        );
        jobs.entry(worker).or_default().insert(job);
    }
    for worker in (0..4).map(|number| format!("w{number}")) {
        let recorded = now.set(&format!("worker:{worker}:jobs"));
        let expected = jobs.remove(&worker).unwrap_or_default();
        hold!(
            recorded == expected,
            "the jobs of {worker} are {recorded:?}, owners say {expected:?}"
        );
    }
    for (endpoint, limit) in limits {
        let recorded = now.set(&format!("endpoint:{endpoint}:slots"));
        let expected = slots.remove(endpoint).unwrap_or_default();
        hold!(
            recorded == expected,
            "the slots of {endpoint} are {recorded:?}, owners say {expected:?}"
        );
        hold!(
            recorded.len() <= *limit,
            "{endpoint} has {recorded:?} in flight, its limit is {limit}"
        );
        let parked = now.members(&format!("endpoint:{endpoint}:parked"));
        let woken =
            parked.is_empty() || recorded.len() == *limit || waiting.get(endpoint).is_some_and(|runs| *runs > 0);
        hold!(
            woken,
            "{endpoint} has room, {parked:?} are parked and nobody is on the way to it"
        );
    }
    let tokens = now.list("bell").len();
    hold!(tokens <= 1, "{tokens} tokens in the bell");
    Ok(())
}

fn check_run(now: &Snapshot, plan: &Planned, past: &mut Past) -> Result<(), String> {
    let Planned { run, total, .. } = *plan;
    let fields = now.map(&format!("run:{run}"));
    let state = fields["state"].clone();
    let epoch: u32 = fields.get("epoch").map_or(1, |epoch| epoch.parse().unwrap());
    let here = (epoch, state.clone());
    let (past_epoch, before) = past.states.insert(run, here.clone()).unwrap_or(here);
    let onward = past_epoch < epoch || (past_epoch == epoch && (rank(&before) < rank(&state) || before == state));
    hold!(onward, "run {run} went back from {before} to {state}");
    let results = now.map(&format!("run:{run}:results"));
    // Only reopening takes results back.
    if past_epoch < epoch || before == "reopening" {
        let kept = |of: RunId, index: &String| of != run || results.contains_key(index);
        past.results.retain(|(of, index), _| kept(*of, index));
        past.finals.remove(&run);
    }
    for (index, result) in &results {
        let first = past
            .results
            .entry((run, index.clone()))
            .or_insert_with(|| result.clone());
        hold!(first == result, "{run}/{index}: {first} became {result}");
    }
    let stored = past.results.keys().filter(|(of, _)| *of == run).count();
    hold!(
        stored == results.len(),
        "{run}: {stored} results were seen, {} are there",
        results.len()
    );
    let control = format!("collect:{run}");
    let collections = [now.members("control"), now.members("control:owners")];
    let collections = collections.iter().filter(|jobs| jobs.contains(&control)).count();
    hold!(
        collections == usize::from(state == "collecting"),
        "{run} is {state} and has {collections} collection jobs"
    );
    check_places(now, plan, &state, &fields, &results)?;
    check_counts(run, &fields, &results)?;
    if state != "preparing" && fields.contains_key("total") {
        let countdown = now.text(&format!("run:{run}:countdown"));
        let left = (total - results.len()).to_string();
        hold!(
            countdown.as_ref() == Some(&left),
            "{run}: the countdown is {countdown:?}, {left} are left"
        );
    }
    if rank(&state) > 3 {
        let summary = now.text(&format!("run:{run}:summary"));
        let first = past.finals.entry(run).or_insert_with(|| summary.clone());
        hold!(*first == summary, "{run}: the summary {first:?} became {summary:?}");
        for part in ["tests", "again", "tries", "owners"] {
            let none = now.list(&format!("run:{run}:{part}")).is_empty();
            hold!(
                none || !fields.contains_key("total"),
                "{run} has ended and still has {part}"
            );
        }
    }
    Ok(())
}

fn check_counts(
    run: RunId,
    fields: &BTreeMap<String, String>,
    results: &BTreeMap<String, String>,
) -> Result<(), String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for result in results.values() {
        *counts
            .entry(format!("count:{}", result.split(' ').next().unwrap()))
            .or_default() += 1;
    }
    for (name, count) in fields.iter().filter(|(name, _)| name.starts_with("count:")) {
        let stored = counts.remove(name).unwrap_or_default();
        hold!(
            count == &stored.to_string(),
            "{run}: {name} is {count}, there are {stored}"
        );
    }
    hold!(counts.is_empty(), "{run}: {counts:?} are not counted");
    Ok(())
}

/// Where the tests of a run are, and where the run is.
fn check_places(
    now: &Snapshot,
    plan: &Planned,
    state: &str,
    fields: &BTreeMap<String, String>,
    results: &BTreeMap<String, String>,
) -> Result<(), String> {
    let Planned { run, total, .. } = *plan;
    let next: usize = fields["next"].parse().unwrap();
    let again = now.list(&format!("run:{run}:again"));
    let owners = now.members(&format!("run:{run}:owners"));
    let delayed = now.members("delayed");
    let open = state == "queued" || state == "progress";
    let ready = now.members("ready").contains(&run.to_string());
    let parked = now
        .members(&format!("endpoint:{}:parked", plan.endpoint))
        .contains(&run.to_string());
    let paused = now.members("paused").contains(&run.to_string());
    let waits = [ready, parked, paused].iter().filter(|place| **place).count();
    hold!(waits <= 1, "{run} is in both ready and parked, or paused as well");
    hold!(open || waits == 0, "{run} is {state} and waits to be claimed from");
    hold!(
        owners.len() <= plan.cap,
        "{run} has {owners:?} in flight, its cap is {}",
        plan.cap
    );
    if plan.sequential && state != "collecting" && rank(state) < 4 && !fields.contains_key("epoch") {
        let prefix = (0..results.len()).all(|index| results.contains_key(&index.to_string()));
        hold!(prefix, "the results of {run} are {:?}", results.keys());
        hold!(next <= results.len() + 1, "{run} gave test {next} out of turn");
    }
    for index in results.keys() {
        let held = owners.contains(index) || delayed.contains(&format!("{run}/{index}"));
        hold!(!held, "{run}/{index} has its result and is still held or delayed");
    }
    if !open {
        return Ok(());
    }
    for index in 0..total {
        let name = index.to_string();
        let places = [
            usize::from(index >= next),
            again.iter().filter(|waiting| **waiting == name).count(),
            usize::from(delayed.contains(&format!("{run}/{name}"))),
            usize::from(owners.contains(&name)),
            usize::from(results.contains_key(&name)),
        ];
        hold!(
            places.iter().sum::<usize>() == 1,
            "{run}/{name} has places {places:?} (fresh, again, delayed, held, done)"
        );
        let payload = now.map(&format!("run:{run}:tests")).contains_key(&name);
        hold!(
            payload != results.contains_key(&name),
            "{run}/{name}: payload {payload}"
        );
    }
    let turn = !plan.sequential || results.len() + again.len() >= next;
    let claimable = turn && owners.len() < plan.cap && again.len() + total - next > 0;
    hold!(
        !claimable || waits == 1,
        "{run} can be claimed from and is in neither ready nor parked nor paused"
    );
    Ok(())
}

/// What may not be left when all runs have ended.
pub fn check_nothing_left(now: &Snapshot) -> Result<(), String> {
    let leftovers = [
        "leases",
        "delayed",
        "control",
        "mails",
        "control:owners",
        "control:attempts",
        "ready",
        "paused",
        "outbox",
        "deadlines",
    ];
    for name in now.names() {
        let left = name != "dead:jobs"
            && (leftovers.contains(&name)
                || [":slots", ":parked", ":jobs", ":owners", ":again", ":tries", ":tests"]
                    .iter()
                    .any(|part| name.ends_with(part)));
        hold!(!left, "{name} is left: {:?}", now.list(name));
    }
    Ok(())
}
