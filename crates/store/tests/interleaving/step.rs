//! What can happen, and drawing it.

/// One thing that happens. `pick`s choose among what there is when it happens.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Activate {
        pick: u32,
    },
    Claim {
        worker: usize,
        tests: usize,
        control: usize,
    },
    ClaimAnswerLost {
        worker: usize,
        tests: usize,
        control: usize,
    },
    Complete {
        worker: usize,
        jobs: usize,
        want: usize,
    },
    CompleteAgain {
        pick: u32,
    },
    CompleteTwiceInABatch {
        worker: usize,
    },
    ZombieCompletes {
        pick: u32,
    },
    ZombieRetries {
        pick: u32,
    },
    Retry {
        worker: usize,
        pick: u32,
        later: bool,
    },
    HandBack {
        worker: usize,
        jobs: usize,
        later: bool,
    },
    HandBackControl {
        worker: usize,
        later: bool,
    },
    /// A holder says that it still works on a test, and keeps where its dialogue is.
    Extend {
        worker: usize,
        pick: u32,
    },
    /// The endpoint of a test has answered, and its metrics ask somebody else.
    Vacate {
        worker: usize,
        pick: u32,
    },
    WorkerDies {
        worker: usize,
    },
    JobExpires {
        pick: u32,
    },
    Register {
        worker: usize,
    },
    Heartbeat {
        worker: usize,
    },
    Cancel {
        pick: u32,
    },
    Pause {
        pick: u32,
    },
    Resume {
        pick: u32,
    },
    /// Some tests of an ended run are tried again; without `last` the caller dies before it is done.
    Reopen {
        pick: u32,
        last: bool,
    },
    /// An operator sets, lifts or clears a limit of an endpoint.
    SetLimit {
        pick: u32,
    },
    Hold {
        pick: u32,
        later: bool,
    },
    Release {
        pick: u32,
    },
    SetFleet {
        pick: u32,
    },
    DeadlinePasses {
        pick: u32,
    },
    Sweep,
    DelaysEnd,
    Fill {
        worker: usize,
        pick: u32,
    },
    Collect {
        worker: usize,
    },
    /// The collection opens a recovery round with some tests; without `last` it dies before it is done.
    Recover {
        worker: usize,
        pick: u32,
        last: bool,
    },
    Settle {
        worker: usize,
        sent: bool,
    },
    FunctionsForgotten,
}

/// splitmix64: small, and the same on every machine.
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

pub const WORKERS: usize = 3;

pub fn draw(seed: u64, count: usize) -> Vec<Step> {
    let mut draw = Draw::new(seed ^ 0xA5A5);
    let mut steps = vec![Step::Activate { pick: 0 }, Step::Activate { pick: 1 }];
    steps.extend((0..count).map(|_| one(&mut draw)));
    steps
}

fn one(draw: &mut Draw) -> Step {
    let worker = draw.below(WORKERS);
    let pick = u32::try_from(draw.below(1 << 16)).unwrap();
    let jobs = 1 + draw.below(4);
    let control = draw.below(3);
    let later = draw.below(2) == 0;
    match draw.below(124) {
        0..4 => Step::Activate { pick },
        4..26 => Step::Claim {
            worker,
            tests: jobs,
            control,
        },
        26..31 => Step::ClaimAnswerLost {
            worker,
            tests: jobs,
            control,
        },
        31..48 => Step::Complete {
            worker,
            jobs,
            want: draw.below(4),
        },
        48..50 => Step::CompleteAgain { pick },
        50..52 => Step::CompleteTwiceInABatch { worker },
        52..56 => Step::ZombieCompletes { pick },
        56..57 => Step::ZombieRetries { pick },
        57..60 => Step::Retry { worker, pick, later },
        60..63 => Step::Vacate { worker, pick },
        63..65 => Step::HandBack { worker, jobs, later },
        65..66 => Step::HandBackControl { worker, later },
        66..69 => Step::Extend { worker, pick },
        69..72 => Step::WorkerDies { worker },
        72..75 => Step::JobExpires { pick },
        75..77 => Step::Register { worker },
        77..79 => Step::Heartbeat { worker },
        79..81 => Step::Cancel { pick },
        81..82 => Step::DeadlinePasses { pick },
        82..83 => Step::Sweep,
        83..88 => Step::DelaysEnd,
        88..93 => Step::Fill { worker, pick },
        93..96 => Step::Collect { worker },
        96..99 => Step::Settle { worker, sent: later },
        99..102 => Step::Pause { pick },
        102..105 => Step::Resume { pick },
        105..109 => Step::Reopen {
            pick,
            last: draw.below(4) > 0,
        },
        109..112 => Step::SetLimit { pick },
        112..114 => Step::Hold { pick, later },
        114..117 => Step::Release { pick },
        117..119 => Step::SetFleet { pick },
        119..123 => Step::Recover {
            worker,
            pick,
            last: draw.below(4) > 0,
        },
        _ => Step::FunctionsForgotten,
    }
}

/// A few claims, after which every kind of key exists.
pub fn claims() -> Vec<Step> {
    let mut steps: Vec<Step> = (0..4).map(|pick| Step::Activate { pick }).collect();
    steps.push(Step::Claim {
        worker: 0,
        tests: 4,
        control: 0,
    });
    steps.push(Step::Retry {
        worker: 0,
        pick: 0,
        later: true,
    });
    steps.push(Step::Extend { worker: 0, pick: 1 });
    steps.push(Step::Vacate { worker: 0, pick: 1 });
    steps.push(Step::Complete {
        worker: 0,
        jobs: 1,
        want: 0,
    });
    steps.push(Step::Claim {
        worker: 1,
        tests: 4,
        control: 0,
    });
    steps
}
