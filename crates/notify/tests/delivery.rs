//! What arrives at a mail server, and what is said when it does not.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod fake_smtp;

use std::time::Duration;

use chrono::{DateTime, Utc};
use fake_smtp::{AfterData, Behaviour, FakeSmtp};
use mail_parser::{Address, MessageParser};
use secrecy::SecretString;
use testfleet_notify::{Delivery, Mailer, MailerSettings, Message, SendError};

const RUN: &str = "0197c5a2-7b7e-7000-8000-000000000001";
const PATIENT: Duration = Duration::from_secs(30);

fn settings(url: &str, timeout: Duration) -> MailerSettings {
    MailerSettings {
        smtp_url: Some(SecretString::from(url)),
        from: "Test Fleet <fleet@example.org>".to_owned(),
        timeout,
        directory: None,
    }
}

fn mailer(server: &FakeSmtp) -> Mailer {
    Mailer::new(&settings(&format!("smtp://127.0.0.1:{}", server.port), PATIENT)).unwrap()
}

fn message() -> Message {
    Message {
        run_id: RUN.parse().unwrap(),
        epoch: 1,
        date: DateTime::<Utc>::from_timestamp(1_767_225_600, 0).unwrap(),
        to: vec!["anna@example.org".to_owned(), "ben@example.org".to_owned()],
        subject: "[testfleet] Chat: Partial — 8/10 passed".to_owned(),
        text: "8 tests passed\n.\nthe line above is a dot\n".to_owned(),
        html: "<p>8 tests passed — 2 failed</p>".to_owned(),
    }
}

async fn outcome(behaviour: Behaviour, message: &Message) -> (FakeSmtp, Result<Delivery, SendError>) {
    let server = FakeSmtp::start(behaviour).await;
    let delivery = mailer(&server).send(message).await;
    (server, delivery)
}

async fn error_of(behaviour: Behaviour) -> SendError {
    outcome(behaviour, &message()).await.1.unwrap_err()
}

fn addresses(address: Option<&Address<'_>>) -> Vec<String> {
    let all = address.into_iter().flat_map(|address| address.iter());
    all.filter_map(|one| one.address().map(str::to_owned)).collect()
}

#[tokio::test]
async fn the_mail_arrives_with_both_parts_and_its_headers() {
    let (server, delivery) = outcome(Behaviour::default(), &message()).await;
    let Ok(Delivery::Sent { reply, refused }) = delivery else {
        panic!("{delivery:?}")
    };
    assert_eq!((reply.as_str(), refused.len()), ("250 queued as 12345", 0));

    let bytes = server.mail();
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(mail.subject(), Some("[testfleet] Chat: Partial — 8/10 passed"));
    assert_eq!(mail.message_id(), Some(format!("{RUN}.testfleet@example.org").as_str()));
    assert_eq!(mail.date().unwrap().to_timestamp(), 1_767_225_600);
    assert_eq!(addresses(mail.from()), ["fleet@example.org"]);
    assert_eq!(addresses(mail.to()), ["anna@example.org", "ben@example.org"]);
    assert_eq!(
        mail.header("Auto-Submitted").and_then(|value| value.as_text()),
        Some("auto-generated")
    );
    assert_eq!(
        mail.body_text(0).unwrap().replace("\r\n", "\n").trim_end(),
        message().text.trim_end()
    );
    assert_eq!(mail.body_html(0).unwrap().trim_end(), message().html);
    let content_type = String::from_utf8_lossy(&bytes).to_lowercase();
    assert!(content_type.contains("multipart/alternative"));
    assert_eq!(content_type.matches("charset=utf-8").count(), 2);
}

#[tokio::test]
async fn all_recipients_are_named_in_one_conversation() {
    let (server, _) = outcome(Behaviour::default(), &message()).await;
    let sessions = server.sessions();
    assert_eq!(sessions.len(), 1);
    let to: Vec<_> = sessions[0]
        .commands
        .iter()
        .filter(|command| command.starts_with("RCPT"))
        .collect();
    assert_eq!(to, ["RCPT TO:<anna@example.org>", "RCPT TO:<ben@example.org>"]);
}

#[tokio::test]
async fn a_temporary_refusal_is_worth_another_attempt() {
    let error = error_of(Behaviour {
        after_data: AfterData::Reply("451 try later"),
        ..Behaviour::default()
    })
    .await;
    assert!(matches!(error, SendError::Temporary { code: Some(451), .. }), "{error}");
    assert!(error.to_string().contains("try later"));
}

#[tokio::test]
async fn a_permanent_refusal_is_not() {
    let error = error_of(Behaviour {
        after_data: AfterData::Reply("554 looks like spam"),
        ..Behaviour::default()
    })
    .await;
    assert!(matches!(error, SendError::Permanent { code: Some(554), .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_is_busy_at_the_greeting_is_worth_another_attempt() {
    let error = error_of(Behaviour {
        greeting: Some("421 too many connections"),
        ..Behaviour::default()
    })
    .await;
    assert!(!error.is_permanent(), "{error}");
}

#[tokio::test]
async fn a_connection_that_ends_after_the_final_dot_is_worth_another_attempt() {
    let (server, delivery) = outcome(
        Behaviour {
            after_data: AfterData::Drop,
            ..Behaviour::default()
        },
        &message(),
    )
    .await;
    assert!(!delivery.unwrap_err().is_permanent());
    let _arrived = server.mail();
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let short = Duration::from_millis(200);
    for behaviour in [
        Behaviour {
            greeting: None,
            ..Behaviour::default()
        },
        Behaviour {
            after_data: AfterData::Silence,
            ..Behaviour::default()
        },
    ] {
        let server = FakeSmtp::start(behaviour).await;
        let url = format!("smtp://127.0.0.1:{}", server.port);
        let error = Mailer::new(&settings(&url, short))
            .unwrap()
            .send(&message())
            .await
            .unwrap_err();
        assert!(!error.is_permanent(), "{error}");
        assert!(error.to_string().contains("200ms"), "{error}");
    }
}

#[tokio::test]
async fn no_server_at_all_is_worth_another_attempt() {
    let port = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let mailer = Mailer::new(&settings(&format!("smtp://127.0.0.1:{port}"), PATIENT)).unwrap();
    let error = mailer.send(&message()).await.unwrap_err();
    assert!(!error.is_permanent(), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn one_address_that_is_gone_does_not_keep_the_mail_from_the_others() {
    let (server, delivery) = outcome(
        Behaviour {
            refuse: Some(("anna@", "550 no such user")),
            ..Behaviour::default()
        },
        &message(),
    )
    .await;
    let Ok(Delivery::Sent { refused, .. }) = delivery else {
        panic!("{delivery:?}")
    };
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].address, "anna@example.org");
    assert!(refused[0].reason.contains("no such user"));
    let bytes = server.mail();
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(addresses(mail.to()), ["anna@example.org", "ben@example.org"]);
}

#[tokio::test]
async fn when_every_address_is_gone_trying_again_does_not_help() {
    let error = error_of(Behaviour {
        refuse: Some(("@", "550 no such user")),
        ..Behaviour::default()
    })
    .await;
    assert!(error.is_permanent(), "{error}");
}

#[tokio::test]
async fn the_password_is_used_but_never_repeated() {
    let server = FakeSmtp::start(Behaviour {
        extensions: &["AUTH PLAIN"],
        auth: "535 no: hunter2%21 hunter2! AGJvdABodW50ZXIyIQ==",
        ..Behaviour::default()
    })
    .await;
    let url = format!("smtp://bot:hunter2%21@127.0.0.1:{}", server.port);
    let settings = settings(&url, PATIENT);
    let mailer = Mailer::new(&settings).unwrap();
    let error = mailer.send(&message()).await.unwrap_err();
    assert!(error.is_permanent(), "{error}");
    let shown = format!("{error} {error:?} {mailer:?} {settings:?}");
    for form in ["hunter2", "AGJvdABodW50ZXIyIQ"] {
        assert!(!shown.contains(form), "{shown}");
    }
    assert_eq!(
        server.sessions().len(),
        1,
        "a login that failed is not repeated for every recipient"
    );
    let commands = server.sessions()[0].commands.clone();
    assert!(
        commands.contains(&"AUTH PLAIN AGJvdABodW50ZXIyIQ==".to_owned()),
        "{commands:?}"
    );
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing_when_tls_is_required() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = FakeSmtp::start(Behaviour {
        extensions: &["AUTH PLAIN"],
        ..Behaviour::default()
    })
    .await;
    let url = format!("smtp://bot:hunter2@127.0.0.1:{}?tls=required", server.port);
    let error = Mailer::new(&settings(&url, PATIENT))
        .unwrap()
        .send(&message())
        .await
        .unwrap_err();
    assert!(error.is_permanent(), "{error}");
    for session in server.sessions() {
        assert!(session.mail.is_none());
        assert!(!session.commands.iter().any(|command| command.starts_with("AUTH")));
    }
}

#[tokio::test]
async fn no_text_can_add_a_header() {
    let evil = "x\r\nBcc: all@example.net\r\n\r\nbody";
    let injected = Message {
        to: vec![
            "anna@example.org".to_owned(),
            "ben@example.org\r\nBcc: all@example.net".to_owned(),
        ],
        subject: evil.to_owned(),
        text: format!("{evil}\r\n.\r\nMAIL FROM:<x@example.net>\r\n"),
        html: evil.to_owned(),
        ..message()
    };
    let (server, delivery) = outcome(Behaviour::default(), &injected).await;
    let Ok(Delivery::Sent { refused, .. }) = delivery else {
        panic!("{delivery:?}")
    };
    assert_eq!(refused.len(), 1);
    let sessions = server.sessions();
    assert!(
        !sessions[0]
            .commands
            .iter()
            .any(|command| command.contains("example.net"))
    );
    let bytes = server.mail();
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert!(mail.bcc().is_none());
    assert_eq!(addresses(mail.to()), ["anna@example.org"]);
    assert_eq!(mail.subject(), Some("x  Bcc: all@example.net    body"));
}

#[tokio::test]
async fn without_a_valid_recipient_nobody_is_called() {
    for to in [vec![], vec!["nobody".to_owned()]] {
        let (server, delivery) = outcome(Behaviour::default(), &Message { to, ..message() }).await;
        assert!(delivery.unwrap_err().is_permanent());
        assert!(server.sessions().is_empty());
    }
}

#[tokio::test]
async fn long_and_foreign_subjects_arrive_whole_on_short_lines() {
    let foreign = "Prüfung „Größe“ 测试 🚀 — 8/10";
    let long = format!("{} end", "word ".repeat(45));
    for subject in [foreign.to_owned(), long, "ü".repeat(240)] {
        let (server, delivery) = outcome(
            Behaviour::default(),
            &Message {
                subject: subject.clone(),
                ..message()
            },
        )
        .await;
        delivery.unwrap();
        let bytes = server.mail();
        let mail = MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(mail.subject(), Some(subject.as_str()));
        assert!(
            String::from_utf8_lossy(&bytes)
                .split("\r\n")
                .all(|line| line.len() <= 998)
        );
    }
    let (server, _) = outcome(
        Behaviour::default(),
        &Message {
            subject: "x".repeat(100_000),
            ..message()
        },
    )
    .await;
    let bytes = server.mail();
    let subject = MessageParser::default().parse(&bytes).unwrap().subject().map(str::len);
    assert!(subject.is_some_and(|length| length < 300), "{subject:?}");
}

#[tokio::test]
async fn a_body_line_of_any_length_is_folded() {
    let text = "x".repeat(50_000);
    let (server, delivery) = outcome(
        Behaviour::default(),
        &Message {
            text: text.clone(),
            ..message()
        },
    )
    .await;
    delivery.unwrap();
    let bytes = server.mail();
    assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= 999));
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(mail.body_text(0).unwrap().trim_end(), text);
}

#[tokio::test]
async fn a_directory_gets_one_whole_file_per_run() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("mail");
    let mailer = Mailer::new(&MailerSettings {
        smtp_url: None,
        from: "fleet@example.org".to_owned(),
        timeout: PATIENT,
        directory: Some(directory.clone()),
    })
    .unwrap();
    for _ in 0..2 {
        let path = directory.join(format!("{RUN}.eml"));
        assert_eq!(
            mailer.send(&message()).await,
            Ok(Delivery::Written { path: path.clone() })
        );
        let bytes = std::fs::read(&path).unwrap();
        let mail = MessageParser::default().parse(&bytes).unwrap();
        assert_eq!(mail.message_id(), Some(format!("{RUN}.testfleet@example.org").as_str()));
    }
    assert_eq!(
        std::fs::read_dir(&directory).unwrap().count(),
        1,
        "no partial file is left"
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_worth_another_attempt() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mailer = Mailer::new(&MailerSettings {
        smtp_url: None,
        from: "fleet@example.org".to_owned(),
        timeout: PATIENT,
        directory: Some(file.join("mail")),
    })
    .unwrap();
    assert!(!mailer.send(&message()).await.unwrap_err().is_permanent());
}

#[tokio::test]
async fn without_server_and_directory_mail_is_disabled() {
    let mailer = Mailer::new(&MailerSettings {
        smtp_url: None,
        from: String::new(),
        timeout: PATIENT,
        directory: None,
    })
    .unwrap();
    assert!(!mailer.is_enabled());
    assert_eq!(mailer.send(&message()).await, Ok(Delivery::Disabled));
}

#[test]
fn settings_that_contradict_are_refused() {
    let both = MailerSettings {
        directory: Some("mail".into()),
        ..settings("smtp://127.0.0.1:25", PATIENT)
    };
    assert!(Mailer::new(&both).unwrap_err().to_string().contains("set one of them"));
    let nobody = MailerSettings {
        from: "fleet@example.org\r\nBcc: x@example.net".to_owned(),
        ..settings("smtp://127.0.0.1:25", PATIENT)
    };
    assert!(
        Mailer::new(&nobody)
            .unwrap_err()
            .to_string()
            .contains("no mail address")
    );
}
