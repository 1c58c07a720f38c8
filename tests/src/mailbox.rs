//! A mail server that keeps every mail, so that mails can be counted where they arrive, and that fails in every way a mail
//! server does.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// What the mail server does with those who come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailMode {
    /// Takes every mail.
    #[default]
    Take,
    /// Refuses every recipient for now (451), as a greylisting or full server does.
    RefuseForNow,
    /// Accepts connections and says nothing until the mode changes.
    Silent,
    /// Takes the mail, and hangs up instead of saying so.
    HangUpAfterMail,
    /// Takes the mail, and says so only when the mode changes.
    SilentAfterMail,
}

#[derive(Debug, Default)]
struct Room {
    mode: MailMode,
    mails: Vec<String>,
    conversations: u64,
    closing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    room: Mutex<Room>,
    changed: Condvar,
}

impl Shared {
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mode(&self) -> MailMode {
        self.room().mode
    }

    fn wait_while(&self, mode: MailMode) {
        let waited = self.changed.wait_while(self.room(), |room| room.mode == mode);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A running mail server. The threads of its conversations end with the process of the test.
#[derive(Debug)]
pub struct Mailbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Mailbox {
    /// Listens on a free port of this machine.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the address of a listener");
        let shared = Arc::new(Shared::default());
        let listening = Some(listen(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            listening,
        }
    }

    /// What `notify.smtp_url` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// All mails that arrived, header and body as sent.
    #[must_use]
    pub fn mails(&self) -> Vec<String> {
        self.shared.room().mails.clone()
    }

    /// Connections that were accepted so far.
    #[must_use]
    pub fn conversations(&self) -> u64 {
        self.shared.room().conversations
    }

    /// Behaves like that from now on; whoever waits in a silent conversation goes on.
    pub fn behave(&self, mode: MailMode) {
        self.shared.room().mode = mode;
        self.shared.changed.notify_all();
    }

    /// Stops listening: connections are refused until [`Mailbox::open`].
    pub fn close(&mut self) {
        let Some(listening) = self.listening.take() else { return };
        self.shared.room().closing = true;
        // Wakes the thread that accepts; it may also have been woken by somebody else.
        drop(TcpStream::connect(self.address));
        listening.join().expect("the listening thread");
    }

    /// Listens again, at the same address.
    pub fn open(&mut self) {
        if self.listening.is_some() {
            return;
        }
        self.shared.room().closing = false;
        let listener = TcpListener::bind(self.address).expect("the port that was ours is still free");
        self.listening = Some(listen(listener, Arc::clone(&self.shared)));
    }
}

fn listen(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut room = shared.room();
            if room.closing {
                return;
            }
            room.conversations += 1;
            drop(room);
            let shared = Arc::clone(&shared);
            // A client that hangs up is its own affair.
            thread::spawn(move || drop(converse(&stream, &shared)));
        }
    })
}

fn converse(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    shared.wait_while(MailMode::Silent);
    let mut out = stream;
    let mut lines = BufReader::new(stream).lines();
    out.write_all(b"220 mailbox\r\n")?;
    while let Some(line) = lines.next() {
        let verb = line?.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "RCPT" if shared.mode() == MailMode::RefuseForNow => out.write_all(b"451 not now\r\n")?,
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                let mail = read_mail(&mut lines)?;
                shared.room().mails.push(mail);
                match shared.mode() {
                    MailMode::HangUpAfterMail => return Ok(()),
                    MailMode::SilentAfterMail => shared.wait_while(MailMode::SilentAfterMail),
                    _ => {}
                }
                out.write_all(b"250 kept\r\n")?;
            }
            "QUIT" => return out.write_all(b"221 bye\r\n"),
            _ => out.write_all(b"250 fine\r\n")?,
        }
    }
    Ok(())
}

fn read_mail(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> std::io::Result<String> {
    let mut mail = String::new();
    for line in lines {
        let line = line?;
        if line == "." {
            break;
        }
        mail.push_str(line.strip_prefix('.').unwrap_or(&line));
        mail.push('\n');
    }
    Ok(mail)
}
