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
    pub tenant: &'static str,
    pub shape: Option<Shape>,
    pub budget: Option<usize>,
    pub fail_fast: Option<u32>,
}

impl Planned {
    /// The same without what depends on how its tests end.
    pub fn plain(self) -> Self {
        Self {
            shape: None,
            budget: None,
            fail_fast: None,
            ..self
        }
    }
}

/// Who waits for whom, and how many tests of the one group may be in flight.
pub struct Shape {
    pub needs: BTreeMap<usize, Vec<usize>>,
    pub always: BTreeSet<usize>,
    pub grouped: BTreeSet<usize>,
    pub group_cap: usize,
}

/// What an endpoint is held by, as its limits say it.
pub fn is_held(limits: &BTreeMap<String, String>, now_ms: i64) -> bool {
    ["hold_until", "retry_until", "open_until"].iter().any(|name| {
        let until = limits.get(*name).map_or(0, |until| until.parse().unwrap());
        until == -1 || until > now_ms
    })
}

/// How many calls an endpoint takes at once, as its limits say it.
fn limit_of(limits: &BTreeMap<String, String>) -> usize {
    let most: usize = limits
        .get("max_concurrency")
        .map_or(usize::MAX, |most| most.parse().unwrap());
    let adapted = limits.get("limit").map_or(usize::MAX, |limit| {
        limit.split('.').next().unwrap().parse::<usize>().unwrap().max(1)
    });
    most.min(adapted)
}

/// The states seen and the results stored so far: they only move forward.
#[derive(Default)]
pub struct Past {
    states: BTreeMap<RunId, (u32, String)>,
    results: BTreeMap<(RunId, String), String>,
    finals: BTreeMap<RunId, Option<String>>,
    /// Calls going on at each endpoint.
    going: BTreeMap<String, usize>,
}

/// Damage that a wrong script could do (a command in which `R0`, `R1` stand for the first runs), and a word of the
/// sentence that notices it.
pub const DAMAGES: &[(&str, &str)] = &[
    ("SET run:R0:countdown 99", "countdown"),
    ("RPUSH run:R0:again 0", "places"),
    ("HINCRBY run:R0 next -1", "places"),
    ("DEL leases", "leases"),
    ("DEL endpoint:shared:slots", "slots"),
    ("DEL worker:w0:jobs", "jobs of"),
    ("DEL workers", "not registered"),
    ("HSET run:R0 state collecting", "collection"),
    ("HSET run:R0 state queued", "back"),
    ("DEL endpoint:shared:a:waiting", "waits nowhere"),
    ("DEL endpoint:shared:tenants", "tenants"),
    ("HSET endpoint:shared:limits max_concurrency 50", "nobody is offered"),
    ("ZADD endpoint:free:b:waiting 0 R1", "waits at free"),
    (
        "ZADD endpoint:shared:lingering 9999999999999 x|1",
        "in flight or going on",
    ),
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

pub fn check(now: &Snapshot, runs: &[Planned], endpoints: &[&str], now_ms: i64, past: &mut Past) -> Result<(), String> {
    let mut held: BTreeMap<String, String> = BTreeMap::new();
    let mut slots: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for plan in runs {
        check_run(now, plan, past)?;
        for (index, owner) in now.map(&format!("run:{}:owners", plan.run)) {
            let job = format!("{}/{index}", plan.run);
            if !owner.ends_with("|answered") {
                slots.entry(plan.endpoint).or_default().insert(job.clone());
            }
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
    for endpoint in endpoints {
        let recorded = now.set(&format!("endpoint:{endpoint}:slots"));
        let expected = slots.remove(endpoint).unwrap_or_default();
        hold!(
            recorded == expected,
            "the slots of {endpoint} are {recorded:?}, owners say {expected:?}"
        );
        check_endpoint(now, endpoint, recorded.len(), now_ms, past)?;
    }
    let tokens = now.list("bell").len();
    hold!(tokens <= 1, "{tokens} tokens in the bell");
    Ok(())
}

/// The places of an endpoint, and whether somebody will look at those who wait for one.
fn check_endpoint(now: &Snapshot, endpoint: &str, held: usize, now_ms: i64, past: &mut Past) -> Result<(), String> {
    let limits = now.map(&format!("endpoint:{endpoint}:limits"));
    let limit = limit_of(&limits);
    let lingering = now.map(&format!("endpoint:{endpoint}:lingering"));
    let lasting = lingering
        .values()
        .filter(|until| until.parse::<f64>().unwrap() > now_ms as f64);
    let going = held + lasting.count();
    let before = past.going.insert(endpoint.to_owned(), going).unwrap_or(0);
    // A limit that falls ends no call; nothing begins above it.
    hold!(
        going <= limit.max(before),
        "{endpoint} has {going} in flight or going on, its limit is {limit}, before there were {before}"
    );
    let tenants = now.members(&format!("endpoint:{endpoint}:tenants"));
    let waiting: BTreeSet<String> = ["a", "b"]
        .iter()
        .filter(|tenant| !now.members(&format!("endpoint:{endpoint}:{tenant}:waiting")).is_empty())
        .map(|tenant| (*tenant).to_owned())
        .collect();
    hold!(
        tenants == waiting,
        "the tenants of {endpoint} are {tenants:?}, runs of {waiting:?} wait there"
    );
    let offered = now.members("ready:endpoints").contains(endpoint);
    let later = now.members("wakes").contains(endpoint);
    hold!(
        !tenants.is_empty() || !(offered || later),
        "{endpoint} is offered and nobody waits there"
    );
    let until_released = limits.get("hold_until").is_some_and(|until| until == "-1");
    let blocked = until_released || (going >= limit && !is_held(&limits, now_ms));
    let half_open = limits.contains_key("open_until") && going > 0;
    hold!(
        tenants.is_empty() || offered || later || blocked || half_open,
        "{endpoint} has room, {tenants:?} wait there and nobody is offered it"
    );
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
    for index in now.map(&format!("run:{run}:dialogues")).keys() {
        hold!(
            !results.contains_key(index),
            "{run}: {index} has its result, and where its dialogue was is kept"
        );
    }
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
        for part in [
            "tests",
            "again",
            "tries",
            "owners",
            "waits",
            "unmet",
            "group:g:slots",
            "group:g:waiting",
            "dialogues",
        ] {
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
    let mut waits = 0;
    for (endpoint, tenant) in [("shared", "a"), ("shared", "b"), ("free", "a"), ("free", "b")] {
        let there = now.members(&format!("endpoint:{endpoint}:{tenant}:waiting"));
        let waits_there = there.contains(&run.to_string());
        let ours = (endpoint, tenant) == (plan.endpoint, plan.tenant);
        hold!(ours || !waits_there, "{run} waits at {endpoint} for {tenant}");
        waits += usize::from(waits_there);
    }
    waits += usize::from(now.members("paused").contains(&run.to_string()));
    hold!(waits <= 1, "{run} waits to be claimed from and is paused as well");
    hold!(open || waits == 0, "{run} is {state} and waits to be claimed from");
    hold!(
        owners.len() <= plan.cap,
        "{run} has {owners:?} in flight, its cap is {}",
        plan.cap
    );
    if plan.sequential && state != "collecting" && rank(state) < 4 && !fields.contains_key("epoch") {
        let prefix = (0..results.len()).all(|index| results.contains_key(&index.to_string()));
        hold!(prefix, "the results of {run} are {:?}", results.keys());
        let given = next - again.len().min(next);
        hold!(given <= results.len() + 1, "{run} gave test {given} out of turn");
    }
    for index in results.keys() {
        let held = owners.contains(index) || delayed.contains(&format!("{run}/{index}"));
        hold!(!held, "{run}/{index} has its result and is still held or delayed");
    }
    if !open {
        return Ok(());
    }
    // In a Sequential run they come after each other anyway.
    let for_others = if plan.sequential {
        BTreeSet::new()
    } else {
        now.members(&format!("run:{run}:waits"))
    };
    let for_room = now.list(&format!("run:{run}:group:g:waiting"));
    check_shape(now, plan, &owners, &again, for_room.len())?;
    for index in 0..total {
        let name = index.to_string();
        let places = [
            usize::from(index >= next),
            again.iter().filter(|waiting| **waiting == name).count(),
            usize::from(delayed.contains(&format!("{run}/{name}"))),
            usize::from(owners.contains(&name)),
            usize::from(results.contains_key(&name)),
            usize::from(for_others.contains(&name)),
            for_room.iter().filter(|waiting| **waiting == name).count(),
        ];
        hold!(
            places.iter().sum::<usize>() == 1,
            "{run}/{name} has places {places:?} (fresh, again, delayed, held, done, for others, for its group)"
        );
        let payload = now.map(&format!("run:{run}:tests")).contains_key(&name);
        hold!(
            payload != results.contains_key(&name),
            "{run}/{name}: payload {payload}"
        );
    }
    let turn = !plan.sequential || results.len() + again.len() >= next;
    let spent: usize = fields.get("spent_requests").map_or(0, |spent| spent.parse().unwrap());
    let affordable = plan.budget.is_none_or(|budget| spent + owners.len() < budget);
    if let Some(budget) = plan.budget {
        let used = spent + owners.len();
        // A right that was lost was a call, and is taken again at once by nobody.
        hold!(used <= budget, "{run} has used {used} of a budget of {budget}");
        hold!(
            affordable || !owners.is_empty(),
            "the budget of {run} is used up, nothing is in flight and it goes on"
        );
    }
    if let (Some(most), None) = (plan.fail_fast, fields.get("epoch")) {
        let failed: u32 = ["count:Fail", "count:Error"]
            .iter()
            .filter_map(|name| fields.get(*name)?.parse::<u32>().ok())
            .sum();
        hold!(failed < most, "{run} has {failed} failed tests and goes on");
    }
    let claimable = turn && affordable && owners.len() < plan.cap && (again.len() + total).saturating_sub(next) > 0;
    hold!(
        !claimable || waits == 1,
        "{run} can be claimed from, and waits nowhere and is not paused"
    );
    Ok(())
}

/// Groups have room for those in flight, and leave nobody waiting who could begin.
fn check_shape(
    now: &Snapshot,
    plan: &Planned,
    owners: &BTreeSet<String>,
    again: &[String],
    for_room: usize,
) -> Result<(), String> {
    let run = plan.run;
    let Some(shape) = &plan.shape else { return Ok(()) };
    let held: BTreeSet<String> = owners
        .iter()
        .filter(|index| shape.grouped.contains(&index.parse().unwrap()))
        .cloned()
        .collect();
    let slots = now.set(&format!("run:{run}:group:g:slots"));
    hold!(
        slots == held,
        "the group of {run} has {slots:?} in flight, owners say {held:?}"
    );
    hold!(
        held.len() <= shape.group_cap,
        "the group of {run} has {held:?} in flight"
    );
    // One of the group that is on its way takes the next one's turn with it.
    let on_its_way = again
        .iter()
        .any(|index| shape.grouped.contains(&index.parse().unwrap()));
    hold!(
        for_room == 0 || on_its_way || !held.is_empty(),
        "{for_room} tests of {run} wait for room in their group, which has it"
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
        "ready:endpoints",
        "wakes",
        "paused",
        "outbox",
        "deadlines",
    ];
    for name in now.names() {
        let left = name != "dead:jobs"
            && (leftovers.contains(&name)
                || [
                    ":slots",
                    ":tenants",
                    ":waiting",
                    ":jobs",
                    ":owners",
                    ":again",
                    ":tries",
                    ":tests",
                    ":waits",
                    ":unmet",
                    ":dialogues",
                ]
                .iter()
                .any(|part| name.ends_with(part)));
        hold!(!left, "{name} is left: {:?}", now.list(name));
    }
    Ok(())
}
