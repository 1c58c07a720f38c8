//! A mail server that misbehaves on purpose: speaks just enough SMTP to be sent to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens once the final dot has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AfterData {
    /// Answers this line.
    Reply(&'static str),
    /// Closes the connection without an answer.
    Drop,
    /// Answers nothing and keeps the connection.
    Silence,
}

/// What the server says.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    /// The first line; `None`: says nothing at all.
    pub(crate) greeting: Option<&'static str>,
    /// Extensions after EHLO.
    pub(crate) extensions: &'static [&'static str],
    /// To AUTH.
    pub(crate) auth: &'static str,
    /// To a RCPT TO with this text in it: this line instead of 250.
    pub(crate) refuse: Option<(&'static str, &'static str)>,
    pub(crate) after_data: AfterData,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            greeting: Some("220 fake ESMTP"),
            extensions: &["8BITMIME"],
            auth: "235 welcome",
            refuse: None,
            after_data: AfterData::Reply("250 queued as 12345"),
        }
    }
}

/// What one connection brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// Every command line.
    pub(crate) commands: Vec<String>,
    /// The mail, dots unstuffed; `None` when it never came.
    pub(crate) mail: Option<Vec<u8>>,
}

/// A running server; stops when dropped.
pub(crate) struct FakeSmtp {
    pub(crate) port: u16,
    sessions: Arc<Mutex<Vec<Session>>>,
    task: JoinHandle<()>,
}

impl FakeSmtp {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sessions = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sessions);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let at = {
                    let mut all = seen.lock().unwrap();
                    all.push(Session::default());
                    all.len() - 1
                };
                let record = |change: &dyn Fn(&mut Session)| change(&mut seen.lock().unwrap()[at]);
                // A client that hangs up is not a failure of the server.
                let _ = converse(stream, &behaviour, &record).await;
            }
        });
        Self { port, sessions, task }
    }

    /// The connections so far.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.sessions.lock().unwrap().clone()
    }

    /// The only mail that came.
    pub(crate) fn mail(&self) -> Vec<u8> {
        let mails: Vec<_> = self.sessions().into_iter().filter_map(|session| session.mail).collect();
        assert_eq!(mails.len(), 1, "exactly one mail was expected");
        mails[0].clone()
    }
}

impl Drop for FakeSmtp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Applies a change to the session that is going on.
type Record<'a> = dyn Fn(&dyn Fn(&mut Session)) + Sync + 'a;

async fn converse(stream: TcpStream, behaviour: &Behaviour, record: &Record<'_>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let Some(greeting) = behaviour.greeting else {
        return wait_for_end(&mut stream).await;
    };
    say(&mut stream, greeting).await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        record(&|session| session.commands.push(command.clone()));
        let verb = command
            .split([' ', ':'])
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                for extension in behaviour.extensions {
                    say(&mut stream, &format!("250-{extension}")).await?;
                }
                say(&mut stream, "250 HELP").await?;
            }
            "AUTH" => say(&mut stream, behaviour.auth).await?,
            "RCPT" => match behaviour.refuse {
                Some((part, reply)) if command.contains(part) => say(&mut stream, reply).await?,
                _ => say(&mut stream, "250 ok").await?,
            },
            "DATA" => {
                say(&mut stream, "354 go on").await?;
                let mail = read_mail(&mut stream).await?;
                record(&|session| session.mail = Some(mail.clone()));
                match behaviour.after_data {
                    AfterData::Reply(line) => say(&mut stream, line).await?,
                    AfterData::Drop => return Ok(()),
                    AfterData::Silence => return wait_for_end(&mut stream).await,
                }
            }
            "QUIT" => return say(&mut stream, "221 bye").await,
            _ => say(&mut stream, "250 ok").await?,
        }
    }
}

async fn say(stream: &mut BufReader<TcpStream>, line: &str) -> std::io::Result<()> {
    stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await
}

async fn wait_for_end(stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        line.clear();
    }
    Ok(())
}

async fn read_mail(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 || line == b".\r\n" {
            return Ok(mail);
        }
        mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
