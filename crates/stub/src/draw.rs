//! Repeatable chance: the same seed and the same call give the same number.
//!
//! A call that names its test draws by test and attempt, so that a test meets the same latency and the same
//! errors in every run, however the calls interleave. Any other call draws by its number.

/// The source of chance of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    state: u64,
}

impl Draw {
    pub(crate) fn of_test(seed: u64, test: &str, attempt: u32) -> Self {
        Self {
            state: mix(seed ^ fold(test.as_bytes()) ^ mix(u64::from(attempt))),
        }
    }

    pub(crate) fn of_call(seed: u64, number: u64) -> Self {
        Self {
            state: mix(seed ^ mix(number)),
        }
    }

    /// A number in `0.0..1.0`; another one for every purpose.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(crate) fn share(self, purpose: &str) -> f64 {
        let bits = mix(self.state ^ fold(purpose.as_bytes())) >> 11;
        bits as f64 / (1u64 << 53) as f64
    }
}

/// FNV-1a.
pub(crate) fn fold(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_test_draw_the_same() {
        let first = Draw::of_test(7, "refund", 1).share("latency");
        assert!((first - Draw::of_test(7, "refund", 1).share("latency")).abs() < f64::EPSILON);
        assert!((first - Draw::of_test(8, "refund", 1).share("latency")).abs() > f64::EPSILON);
        assert!((first - Draw::of_test(7, "refund", 2).share("latency")).abs() > f64::EPSILON);
    }

    #[test]
    fn draws_spread_evenly() {
        let below: usize = (0..10_000)
            .filter(|number| Draw::of_call(1, *number).share("error") < 0.25)
            .count();
        assert!((2_300..2_700).contains(&below), "{below} of 10000 below a quarter");
    }
}
