//! What the server can do at most with the same bytes: per job a payload pushed, popped, its result stored and counted down, over
//! one connection, 64 jobs in a write. Before that our own run of as many tests on the same server.
//!
//! Nothing of what a queue has to promise is in the bare sequence: no lease, no fence, no limit, no order, no collection. It is a
//! ceiling, not a competitor.

use std::time::Instant;

use super::collect;
use crate::bench::figure::{Figure, Measured, ratio};
use crate::bench::flag::{Flag, Given};
use crate::bench::ground::Ground;
use crate::bench::material;
use crate::bench::pass;
use crate::bench::plan::Plan;
use crate::bench::wire::{Reply, Wire};
use crate::exit::Failure;
use crate::session::Session;

pub(super) const TAKES: &[Flag] = &[
    Flag::Tests,
    Flag::Workers,
    Flag::Separate,
    Flag::Concurrency,
    Flag::Limits,
];

/// Jobs in one write.
const BATCH: u32 = 64;
/// The four steps for a batch in one script, each of them in one command.
const SCRIPT: &str = "local payloads, results = {}, {}
for at = 1, #ARGV, 3 do
  payloads[#payloads + 1] = ARGV[at]
  results[#results + 1] = ARGV[at + 1]
  results[#results + 1] = ARGV[at + 2]
end
redis.call('LPUSH', KEYS[1], unpack(payloads))
local popped = redis.call('RPOP', KEYS[1], #payloads)
redis.call('HSET', KEYS[2], unpack(results))
return redis.call('DECRBY', KEYS[3], #popped)";

/// How the bare sequence is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Commands,
    Script,
}

const FORMS: [(Form, &str); 2] = [(Form::Commands, "commands"), (Form::Script, "one script")];

pub(super) fn plans(plan: &Plan, given: &Given) -> Vec<Plan> {
    let case = |(_, name): (Form, &str)| Plan {
        case: Some(name.to_owned()),
        tests: given.tests.unwrap_or(plan.size(100_000, 20_000)),
        ..plan.clone()
    };
    FORMS.map(case).into()
}

pub(super) async fn measure(plan: &Plan, ground: &Ground, session: &Session) -> Result<Measured, Failure> {
    let form = FORMS
        .into_iter()
        .find(|(_, name)| plan.case.as_deref() == Some(name))
        .map_or(Form::Commands, |(form, _)| form);
    // Ours first: what the sequence has in memory is not to be taken for what a worker needs.
    let ours = pass::measure(plan, ground, session).await?;
    let (prefix, jobs) = (ground.prefix().to_owned(), plan.tests);
    let bare_s = ground.bare(move |wire| sequence(wire, &prefix, jobs, form)).await?;
    let bare = plan.jobs() / bare_s;
    let whole = ours.get(Figure::TotalS).and_then(|total_s| ratio(plan.jobs(), total_s));
    let of_bare = whole.and_then(|whole| ratio(whole, bare));
    Ok(ours
        .with(Figure::BareJobsPerS, bare)
        .with_known(Figure::OfBare, of_bare))
}

/// Keys of the sequence, and what a job carries.
struct Sequence {
    queue: String,
    results: String,
    left: String,
}

/// Sends the sequence for all jobs; answers the seconds that took. Everything is made before the clock starts.
fn sequence(wire: &mut Wire, prefix: &str, jobs: u32, form: Form) -> Result<f64, Failure> {
    let key = |name: &str| format!("{prefix}:bare:{name}");
    let keys = Sequence {
        queue: key("queue"),
        results: key("results"),
        left: key("left"),
    };
    let load = (0..jobs)
        .map(|index| Ok((material::payload(index)?, index.to_string(), collect::result(index, 1)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    wire.ask(&["SET", &keys.left, &jobs.to_string()])?;
    let script = match form {
        Form::Commands => None,
        Form::Script => match wire.ask(&["SCRIPT", "LOAD", SCRIPT])? {
            Reply::Bytes(Some(hash)) => Some(hash),
            _ => return Err(Failure::internal("the server did not take a script")),
        },
    };
    let begun = Instant::now();
    let mut left = i64::from(jobs);
    for batch in load.chunks(BATCH as usize) {
        left = match &script {
            None => by_commands(wire, &keys, batch)?,
            Some(hash) => by_script(wire, &keys, hash, batch)?,
        };
    }
    let took = begun.elapsed().as_secs_f64();
    wire.clear(&format!("{prefix}:bare"))?;
    if left == 0 {
        return Ok(took);
    }
    Err(Failure::internal(format!(
        "the bare sequence left {left} of {jobs} jobs"
    )))
}

type Load = (Vec<u8>, String, Vec<u8>);

/// Answers how many are left to count down.
fn by_commands(wire: &mut Wire, keys: &Sequence, batch: &[Load]) -> Result<i64, Failure> {
    for (payload, index, result) in batch {
        wire.put(&[b"LPUSH", keys.queue.as_bytes(), payload]);
        wire.put(&[b"RPOP", keys.queue.as_bytes()]);
        wire.put(&[b"HSET", keys.results.as_bytes(), index.as_bytes(), result]);
        wire.put(&[b"DECR", keys.left.as_bytes()]);
    }
    wire.send()?;
    let mut left = Reply::Number(-1);
    for _ in batch {
        for _ in 0..3 {
            wire.reply()?;
        }
        left = wire.reply()?;
    }
    number(&left)
}

/// Answers how many are left to count down.
fn by_script(wire: &mut Wire, keys: &Sequence, hash: &[u8], batch: &[Load]) -> Result<i64, Failure> {
    let mut words: Vec<&[u8]> = vec![b"EVALSHA", hash, b"3"];
    words.extend([&keys.queue, &keys.results, &keys.left].map(|key| key.as_bytes()));
    for (payload, index, result) in batch {
        words.extend([payload.as_slice(), index.as_bytes(), result.as_slice()]);
    }
    wire.put(&words);
    wire.send()?;
    number(&wire.reply()?)
}

fn number(reply: &Reply) -> Result<i64, Failure> {
    match reply {
        Reply::Number(number) => Ok(*number),
        _ => Err(Failure::internal("the server answered no number where it counts")),
    }
}
