//! Reasons as sentences: what stands in the way, with figures, until when, and what to do.

use testfleet_store::{Reason, Why};

use crate::command::limit::rate_text;
use crate::command::time::{between, moment, remaining};

/// So many, and the noun for it.
fn counted(count: u32, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// ` more` and the moment, of something that ends by itself.
fn until(now: i64, until_ms: i64) -> String {
    format!("{} (until {} UTC)", remaining(now, until_ms), moment(Some(until_ms)))
}

/// `worker_name`: of the worker that has the test, when it is known.
pub(super) fn of(reason: &Reason, why: &Why, worker_name: Option<&str>) -> String {
    let (now, run, endpoint) = (why.now_ms, why.test_run_id, &why.endpoint);
    match reason {
        Reason::Done { .. }
        | Reason::Running { .. }
        | Reason::NoSuchTest
        | Reason::AllRunning { .. }
        | Reason::Collecting { .. }
        | Reason::Ended { .. }
        | Reason::Preparing
        | Reason::Reopening => of_what_goes_on(reason, why, worker_name),
        Reason::Quarantined { why } => format!(
            "the run is damaged ({why}) and set aside; workers repair or end it, `testfleet doctor --fix` does so now"
        ),
        Reason::OtherFormat { format, ours } => format!(
            "the run has format {format}, this version works on format {ours}; workers of the version that made the run take it"
        ),
        Reason::Paused { since_ms } => format!(
            "the run was paused {} ago; `testfleet run resume {run}` lets it go on",
            between(*since_ms, now)
        ),
        Reason::Group { group, in_flight, max } => format!(
            "its group {group} has {in_flight} of at most {} in flight; it begins when one of them has ended",
            counted(*max, "test")
        ),
        Reason::Budget { budget, spent, of } => format!(
            "the run has used {} of its budget of {} {budget}; when nothing of it is in flight any more, it ends and the rest is NotRun",
            figure(*spent),
            figure(*of)
        ),
        Reason::RunCap { in_flight, max } => format!(
            "the run has {in_flight} of at most {} in flight (attributes.batch_concurrency); it goes on when one of them has ended",
            counted(*max, "test")
        ),
        Reason::RetryDelay { .. }
        | Reason::DependencyFailed { .. }
        | Reason::Dependency { .. }
        | Reason::Sequential { .. } => of_other_tests(reason, why),
        Reason::NoWorker => "no worker is alive; start one with `testfleet-worker`".to_owned(),
        Reason::WorkersDraining { workers } => {
            let verb = if *workers == 1 { "is" } else { "are" };
            format!(
                "{} {verb} alive and stopping, so nothing new is claimed; start another with `testfleet-worker`",
                counted(*workers, "worker")
            )
        }
        Reason::WorkersBusy { workers } => {
            let verb = if *workers == 1 { "works" } else { "all work" };
            format!(
                "{} {verb} on as many tests as they take; add workers or raise worker.concurrency (`testfleet worker list`)",
                counted(*workers, "worker")
            )
        }
        Reason::FleetCap { in_flight, max } => format!(
            "the fleet has {in_flight} of at most {max} tests in flight; `testfleet fleet set --max-concurrency` raises that"
        ),
        Reason::Misplaced => {
            "nothing keeps it from being claimed, and it has no place in the queue; workers put it back within a minute, `testfleet doctor --fix` does so now".to_owned()
        }
        Reason::Fairness { .. } => in_line(reason, why),
        Reason::Ready => "nothing stands in the way; the next claim takes it".to_owned(),
        _ => of_the_endpoint(reason, endpoint, now),
    }
}

fn of_what_goes_on(reason: &Reason, why: &Why, worker_name: Option<&str>) -> String {
    let (now, run) = (why.now_ms, why.test_run_id);
    match reason {
        Reason::Done { status } => {
            let status = if status.is_empty() { "unreadable" } else { status };
            format!("it has its result: {status}; `testfleet run results {run}` shows it")
        }
        Reason::Running {
            worker,
            since_ms,
            attempt,
        } => format!(
            "it is running: worker {} has it since {}, attempt {attempt}",
            worker_name.filter(|name| !name.is_empty()).unwrap_or(worker),
            between(*since_ms, now)
        ),
        Reason::AllRunning { in_flight } => {
            let (verb, waits) = if *in_flight == 1 { ("is", "it") } else { ("are", "them") };
            format!(
                "{} {verb} running, and no other can begin before one of {waits} has ended",
                counted(*in_flight, "test")
            )
        }
        Reason::Collecting { stop: None } => "all its tests have their results; the summary is being made".to_owned(),
        Reason::Collecting { stop: Some(stop) } => format!(
            "the run was cut short ({stop}); no further test begins, those without a result get one, and the summary is being made"
        ),
        Reason::Ended { state } => format!(
            "the run has ended as {}; `testfleet run retry {run}` tries tests of it again",
            state.shown()
        ),
        Reason::Preparing => {
            "the run is still being submitted; tests begin when all of them are stored. If its submitter is gone, it is given up after a while".to_owned()
        }
        Reason::Reopening => {
            "tests of the run are being taken back to be tried again; they begin when that is done".to_owned()
        }
        _ => format!("the run has {} only", counted(why.total, "test")),
    }
}

fn of_other_tests(reason: &Reason, why: &Why) -> String {
    let now = why.now_ms;
    match reason {
        Reason::RetryDelay {
            until_ms,
            attempts,
            tests,
        } => {
            let until = until_ms.map(|until_ms| until(now, until_ms));
            if why.index.is_some() {
                let next = until.map_or_else(|| "soon".to_owned(), |until| format!("in {until}"));
                return format!("attempt {attempts} did not bring a result; the next one is due {next}");
            }
            let first = until.map_or_else(String::new, |until| format!(", the first of them for {until}"));
            let (verb, own) = if *tests == 1 {
                ("waits", "its")
            } else {
                ("wait", "their")
            };
            format!("{} {verb} for {own} next attempt{first}", counted(*tests, "test"))
        }
        Reason::DependencyFailed { dependency } => format!(
            "test {dependency}, which it depends on, did not pass; it will not be called and gets NotRun as soon as a worker takes it"
        ),
        Reason::Dependency { missing, .. } if why.index.is_some() => {
            let named: Vec<String> = missing.iter().take(10).map(u32::to_string).collect();
            let more = missing.len().saturating_sub(named.len());
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let (noun, verb) = if missing.len() == 1 {
                ("test", "has")
            } else {
                ("tests", "have")
            };
            format!(
                "it depends on {noun} {}{more}, which {verb} no result yet",
                named.join(", ")
            )
        }
        Reason::Dependency { tests, .. } => {
            let verb = if *tests == 1 { "waits" } else { "wait" };
            format!("{} {verb} for results of tests they depend on", counted(*tests, "test"))
        }
        Reason::Sequential { before, tests_before } => {
            let turn = before.map_or_else(
                || "another one, which has no result yet".to_owned(),
                |before| format!("test {before}, which has no result yet"),
            );
            if why.index.is_none() {
                return format!("the run is Sequential and at {turn}; the next one begins then");
            }
            let verb = if *tests_before == 1 { "comes" } else { "come" };
            format!(
                "the run is Sequential: {} {verb} before it; it is at {turn}",
                counted(*tests_before, "test")
            )
        }
        _ => String::new(),
    }
}

fn of_the_endpoint(reason: &Reason, endpoint: &str, now: i64) -> String {
    match reason {
        Reason::Hold { until_ms, why } => {
            let time = until_ms.map_or_else(
                || "until somebody releases it".to_owned(),
                |until_ms| format!("for {}", until(now, until_ms)),
            );
            let because = if why.is_empty() {
                String::new()
            } else {
                format!(": {why}")
            };
            format!(
                "an operator holds the endpoint {endpoint} {time}{because}; `testfleet endpoint release {}` ends that",
                quoted(endpoint)
            )
        }
        Reason::RetryAfter { until_ms } => format!(
            "the endpoint {endpoint} asked everybody to wait (Retry-After) for {}; `testfleet endpoint release {}` does not wait",
            until(now, *until_ms),
            quoted(endpoint)
        ),
        Reason::Breaker {
            until_ms: Some(until_ms),
        } => format!(
            "the endpoint {endpoint} is taken for down after failed calls, and left alone for {}; one call decides then",
            until(now, *until_ms)
        ),
        Reason::Breaker { until_ms: None } => format!(
            "the endpoint {endpoint} was taken for down; the one call that decides whether it still is is under way"
        ),
        Reason::MaxConcurrency {
            in_flight,
            lingering,
            max,
        } => {
            let lingering = match lingering {
                0 => String::new(),
                count => format!(", {count} of them of runs that were ended"),
            };
            format!(
                "the endpoint {endpoint} has {in_flight} of at most {} in flight{lingering} (limits.max_concurrency); it begins when one has ended",
                counted(*max, "call")
            )
        }
        Reason::Adaptive {
            in_flight,
            limit,
            since_ms,
        } => {
            let since = since_ms.map_or_else(String::new, |since| {
                format!(", since it refused calls {} ago", between(since, now))
            });
            format!(
                "the endpoint {endpoint} has {} in flight and takes {:.0} at the moment{since}; more when it shows that it can",
                counted(*in_flight, "call"),
                limit.floor().max(1.0)
            )
        }
        Reason::Rate { until_ms, rate } => {
            let rate = rate
                .as_ref()
                .map_or_else(String::new, |rate| format!(" of {}", rate_text(rate)));
            let next = until_ms.map_or_else(String::new, |until| {
                format!("; the next call may begin in {}", remaining(now, until))
            });
            format!("the rate{rate} of the endpoint {endpoint} is used up{next}")
        }
        Reason::Tokens { until_ms, budget } => {
            let budget = budget
                .as_ref()
                .map_or_else(String::new, |rate| format!(" of {}", rate_text(rate)));
            let next = until_ms.map_or_else(
                || "; the next call begins when one in flight has ended".to_owned(),
                |until| format!("; the next call may begin in {}", remaining(now, until)),
            );
            format!("the tokens{budget} of the endpoint {endpoint} are used up{next}")
        }
        _ => String::new(),
    }
}

fn in_line(reason: &Reason, why: &Why) -> String {
    let Reason::Fairness {
        tests_before,
        runs_before,
        tenants_before,
        endpoints_before,
    } = reason
    else {
        return String::new();
    };
    let before: Vec<String> = [
        (*endpoints_before, "other endpoint".to_owned()),
        (*tenants_before, "other tenant".to_owned()),
        (*runs_before, format!("other run of the tenant {}", why.tenant)),
        (*tests_before, "other test of its run".to_owned()),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, noun)| match (count, noun.split_once(" of ")) {
        (1, _) => format!("1 {noun}"),
        (_, Some((noun, of))) => format!("{count} {noun}s of {of}"),
        (_, None) => format!("{count} {noun}s"),
    })
    .collect();
    format!(
        "others come first: {}; it is claimed when its turn comes",
        before.join(", ")
    )
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/@".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

/// A number without digits that say nothing.
fn figure(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use testfleet_model::RunId;
    use testfleet_model::configuration::Rate;

    use super::*;

    fn sentence(index: Option<u32>, reason: &Reason) -> String {
        let why = Why {
            test_run_id: RunId::new(uuid::Uuid::from_u128(1)),
            index,
            reasons: Vec::new(),
            now_ms: 1_772_368_205_000,
            endpoint: "chat bot".to_owned(),
            tenant: "nightly".to_owned(),
            total: 48,
            done: 3,
            in_flight: 8,
            pending: 37,
        };
        of(reason, &why, None)
    }

    #[test]
    fn a_hold_is_said_with_its_end_its_reason_and_what_ends_it() {
        let held = Reason::Hold {
            until_ms: Some(1_772_368_805_000),
            why: "deployment".to_owned(),
        };
        assert_eq!(
            sentence(Some(7), &held),
            "an operator holds the endpoint chat bot for 10m (until 2026-03-01 12:40:05 UTC): deployment; `testfleet endpoint release 'chat bot'` ends that"
        );
        let open = Reason::Hold {
            until_ms: None,
            why: String::new(),
        };
        assert!(
            sentence(None, &open).starts_with("an operator holds the endpoint chat bot until somebody releases it; ")
        );
    }

    #[test]
    fn limits_are_said_with_their_figures() {
        let full = Reason::MaxConcurrency {
            in_flight: 8,
            lingering: 2,
            max: 8,
        };
        assert_eq!(
            sentence(Some(7), &full),
            "the endpoint chat bot has 8 of at most 8 calls in flight, 2 of them of runs that were ended (limits.max_concurrency); it begins when one has ended"
        );
        let rate = Reason::Rate {
            until_ms: Some(1_772_368_205_020),
            rate: Some(Rate {
                count: 50,
                per: std::time::Duration::from_secs(1),
                burst: Some(1),
            }),
        };
        assert_eq!(
            sentence(Some(7), &rate),
            "the rate of 50/s of the endpoint chat bot is used up; the next call may begin in 20ms"
        );
        let spent = Reason::Budget {
            budget: "cost",
            spent: 1.25,
            of: 1.0,
        };
        assert!(sentence(None, &spent).starts_with("the run has used 1.25 of its budget of 1 cost;"));
    }

    #[test]
    fn other_tests_are_named() {
        let missing = Reason::Dependency {
            missing: vec![2, 5],
            tests: 1,
        };
        assert_eq!(
            sentence(Some(7), &missing),
            "it depends on tests 2, 5, which have no result yet"
        );
        let order = Reason::Sequential {
            before: Some(2),
            tests_before: 5,
        };
        assert_eq!(
            sentence(Some(7), &order),
            "the run is Sequential: 5 tests come before it; it is at test 2, which has no result yet"
        );
        let line = Reason::Fairness {
            tests_before: 1,
            runs_before: 2,
            tenants_before: 0,
            endpoints_before: 0,
        };
        assert_eq!(
            sentence(Some(7), &line),
            "others come first: 2 other runs of the tenant nightly, 1 other test of its run; it is claimed when its turn comes"
        );
    }
}
