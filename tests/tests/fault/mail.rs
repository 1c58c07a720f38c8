//! A mail server that is down, silent, refusing, or that takes a mail without saying so; a worker that dies while it sends.
//! The state of a run, its results and its summary never change because of it.
//!
//! Promises: NOTIFY-ONCE-PLUS, COLLECT-ONCE, FAIR.

use std::collections::BTreeSet;

use testfleet_model::RunState;
use testfleet_testkit::wait_for;
use testfleet_tests::{Ended, Fleet, FleetOptions, MailMode, Process, echo_suite, leftovers};

fn options() -> FleetOptions {
    FleetOptions::short_lease()
        .variable("TESTFLEET_NOTIFY_BACKOFF_INITIAL", "200ms")
        .variable("TESTFLEET_NOTIFY_BACKOFF_MAX", "400ms")
        .variable("TESTFLEET_NOTIFY_TIMEOUT", "500ms")
}

async fn ended_run(fleet: &Fleet) -> Ended {
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 3)).await;
    let ended = fleet.ended(run).await;
    assert_eq!(ended.view.state, RunState::Completed);
    assert_eq!(ended.statuses()["Pass"], 3);
    ended
}

/// Waits until a delivery of the run's mail has failed, and the failure is shown to operators.
async fn failed_delivery(fleet: &Fleet, ended: &Ended) {
    let view = fleet
        .wait_for_run(ended.run, "a failed delivery", |view| view.mail_error.is_some())
        .await;
    assert_eq!(view.mail.as_deref(), Some("queued"));
    assert_eq!(view.state, RunState::Completed, "mail does not change a run");
}

/// The mail is settled as sent, the run is as it was, and nothing is left. Answers the mails.
async fn settled(fleet: &Fleet, ended: &Ended) -> Vec<String> {
    let mails = fleet.mails_of(ended.run).await;
    let after = fleet.ended(ended.run).await;
    assert_eq!(after.view.state, ended.view.state);
    assert_eq!((&after.summary, &after.results), (&ended.summary, &ended.results));
    fleet.idle().await;
    assert_eq!(leftovers(&fleet.redis.dump("").await), Vec::<String>::new());
    mails
}

fn message_ids(mails: &[String]) -> BTreeSet<String> {
    let header = |mail: &String| {
        let line = mail
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("message-id:"));
        line.expect("every mail has a Message-ID").to_owned()
    };
    mails.iter().map(header).collect()
}

#[tokio::test]
async fn a_mail_server_that_is_down_gets_the_mail_when_it_is_back() {
    let mut fleet = Fleet::start(options());
    let _worker = fleet.worker("a").await;
    fleet.mailbox.close();
    let ended = ended_run(&fleet).await;
    failed_delivery(&fleet, &ended).await;
    fleet.mailbox.open();
    assert_eq!(settled(&fleet, &ended).await.len(), 1);
}

#[tokio::test]
async fn a_mail_server_that_refuses_for_now_is_asked_again_until_it_takes_the_mail() {
    let fleet = Fleet::start(options());
    let _worker = fleet.worker("a").await;
    fleet.mailbox.behave(MailMode::RefuseForNow);
    let ended = ended_run(&fleet).await;
    failed_delivery(&fleet, &ended).await;
    wait_for("a second delivery", async || {
        (fleet.mailbox.conversations() >= 2).then_some(())
    })
    .await;
    fleet.mailbox.behave(MailMode::Take);
    assert_eq!(settled(&fleet, &ended).await.len(), 1);
}

#[tokio::test]
async fn a_mail_server_that_says_nothing_is_given_up_and_asked_again() {
    let fleet = Fleet::start(options());
    let _worker = fleet.worker("a").await;
    fleet.mailbox.behave(MailMode::Silent);
    let ended = ended_run(&fleet).await;
    failed_delivery(&fleet, &ended).await;
    fleet.mailbox.behave(MailMode::Take);
    assert_eq!(settled(&fleet, &ended).await.len(), 1);
}

/// Deliveries that hang take all their room of the reserved lane, and runs end nevertheless.
#[tokio::test]
async fn runs_end_while_every_delivery_hangs() {
    let options = FleetOptions::default()
        .variable("TESTFLEET_NOTIFY_TIMEOUT", "10m")
        .variable("TESTFLEET_WORKER_CONTROL_CONCURRENCY", "2");
    let fleet = Fleet::start(options);
    let _worker = fleet.worker("a").await;
    fleet.mailbox.behave(MailMode::Silent);
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(ended_run(&fleet).await);
    }
    fleet.mailbox.behave(MailMode::Take);
    for ended in all {
        assert_eq!(fleet.mails_of(ended.run).await.len(), 1);
    }
}

#[tokio::test]
async fn a_mail_that_is_given_up_is_kept_among_the_dead_and_the_run_stays_what_it_was() {
    let fleet = Fleet::start(options().variable("TESTFLEET_NOTIFY_MAX_ATTEMPTS", "2"));
    let _worker = fleet.worker("a").await;
    fleet.mailbox.behave(MailMode::RefuseForNow);
    let ended = ended_run(&fleet).await;
    let view = fleet
        .wait_for_run(ended.run, "the mail to be given up", |view| {
            view.mail.as_deref() == Some("dead")
        })
        .await;
    assert_eq!(view.state, RunState::Completed);
    assert!(view.mail_error.expect("a reason").contains("not now"));
    let dead = fleet.store().queue_view(10).await.expect("a view").dead;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0].job, format!("notify:{}", ended.run));
    assert!(fleet.mailbox.mails().is_empty());
}

/// The mail was taken, and the connection ended before the server said so: nobody can know, so it is sent again, and the
/// same Message-ID lets the reader's mail server drop it.
#[tokio::test]
async fn a_mail_server_that_hangs_up_after_the_final_dot_gets_the_mail_again_under_the_same_id() {
    let fleet = Fleet::start(options());
    let _worker = fleet.worker("a").await;
    fleet.mailbox.behave(MailMode::HangUpAfterMail);
    let ended = ended_run(&fleet).await;
    wait_for("the mail to be taken once", async || {
        (!fleet.mailbox.mails().is_empty()).then_some(())
    })
    .await;
    fleet.mailbox.behave(MailMode::Take);
    let mails = settled(&fleet, &ended).await;
    assert!(mails.len() >= 2, "it cannot know that the first one was taken");
    assert_eq!(message_ids(&mails).len(), 1);
}

async fn dies_while_sending(fleet: &Fleet, mut sender: Process, mode: MailMode, arrived: usize) -> Vec<String> {
    fleet.mailbox.behave(mode);
    let ended = ended_run(fleet).await;
    wait_for("the conversation about the mail", async || {
        let said = fleet.mailbox.conversations() == 1 && fleet.mailbox.mails().len() == arrived;
        said.then_some(())
    })
    .await;
    sender.kill();
    fleet.mailbox.behave(MailMode::Take);
    let _heir = fleet.worker("heir").await;
    settled(fleet, &ended).await
}

/// The crash comes before the mail was taken, or after: it is sent once, or twice with the same id.
#[tokio::test]
async fn a_worker_that_dies_before_its_mail_was_taken_leaves_it_to_another() {
    let fleet = Fleet::start(options().variable("TESTFLEET_NOTIFY_TIMEOUT", "30s"));
    let sender = fleet.worker("sender").await;
    let mails = dies_while_sending(&fleet, sender, MailMode::Silent, 0).await;
    assert_eq!(mails.len(), 1);
}

#[tokio::test]
async fn a_worker_that_dies_after_its_mail_was_taken_costs_one_more_mail_with_the_same_id() {
    let fleet = Fleet::start(options().variable("TESTFLEET_NOTIFY_TIMEOUT", "30s"));
    let sender = fleet.worker("sender").await;
    let mails = dies_while_sending(&fleet, sender, MailMode::SilentAfterMail, 1).await;
    assert_eq!(mails.len(), 2);
    assert_eq!(message_ids(&mails).len(), 1);
}
