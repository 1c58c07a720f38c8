//! A run that is served without standing in line.

use std::time::Duration;

use testfleet_model::configuration::{Limits, Rate};
use testfleet_store::{Activated, ClaimAnswer, Signal, Want};

use crate::support::bench::limits;
use crate::support::{Bench, Spec, completion, id};

/// F68: nobody else would be told that the rate allows the next test by then.
#[tokio::test]
async fn whoever_waits_for_a_rate_after_a_result_is_told_for_how_long() {
    for spec in [Spec::parallel(1, 3), Spec::sequential(1, 3).cap(1)] {
        let bench = Bench::start().await;
        bench.staged(&spec).await;
        let rate = Rate {
            count: 1,
            per: Duration::from_secs(60),
            burst: Some(1),
        };
        let limited = Limits {
            rate: Some(rate),
            ..limits(None)
        };
        let day = Duration::from_secs(86_400);
        assert_eq!(
            bench.store.activate(id(1), 3, day, &limited).await.unwrap(),
            Activated::Activated
        );
        let seat = bench.seat("w1").await;
        let test = bench.claim_one(&seat).await;
        let () = bench.ask(&["DEL", &bench.key("alarm"), &bench.key("bell")]).await;
        let want = Want { tests: 1, control: 0 };
        let mut result = completion(&test);
        result.feedback.signal = Signal::Accepted;
        let (_, answer) = bench.store.complete(&seat, &[result], want).await.unwrap();
        let ClaimAnswer::Claimed(claimed) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(claimed.tests.len(), 0);
        assert!(claimed.next_due.is_some(), "{claimed:?}");
    }
}
