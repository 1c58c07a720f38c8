//! A proxy in front of a private Redis that knows commands and replies, so that a test can make something happen at
//! exactly the n-th command of a process: before the server gets it, between its execution and the reply, or after the
//! reply. It changes no byte.
//!
//! Each connection of a client is one connection to the server. Commands are forwarded one at a time, replies belong to
//! them in order (pushes of RESP3 to none), pipelines included.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::redis::TestRedis;
use crate::relay::relay;

/// Between a reply and what happens after it: time for the client to read the reply and to begin what follows from it.
/// Without it "after the reply" would often be as if there had been none.
pub(crate) const READING: Duration = Duration::from_millis(2);

/// When something happens to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// The client has sent it, the server has not got it.
    Before,
    /// The server has executed it, the client has no reply.
    Executed,
    /// The client has the reply.
    After,
}

impl Point {
    /// All of them, in their order in time.
    pub const ALL: [Self; 3] = [Self::Before, Self::Executed, Self::After];
}

/// What the proxy does once an action has been performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Then {
    /// Nothing: the command and its reply go on.
    Continue,
    /// It closes the connection; what was not forwarded is lost.
    Cut,
    /// It closes every connection. Those made later are served.
    CutAll,
    /// It forwards nothing more on the connection until [`CommandProxy::release`].
    Hold,
}

/// One command as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    parts: Vec<Vec<u8>>,
}

impl Command {
    pub(crate) fn new(parts: Vec<Vec<u8>>) -> Self {
        Self { parts }
    }

    /// Its name in capital letters, such as `EVALSHA`.
    #[must_use]
    pub fn name(&self) -> String {
        self.argument(0).to_ascii_uppercase()
    }

    /// One of its parts as text, the name being part 0; empty when there is none.
    #[must_use]
    pub fn argument(&self, index: usize) -> String {
        self.parts
            .get(index)
            .map_or_else(String::new, |part| String::from_utf8_lossy(part).into_owned())
    }
}

type Filter = Arc<dyn Fn(&Command) -> bool + Send + Sync>;
type Action = Box<dyn FnOnce(&Command) -> Then + Send>;

/// What waits for its command.
pub(crate) struct Trap {
    pub(crate) point: Point,
    action: Action,
}

impl fmt::Debug for Trap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Trap")
            .field("point", &self.point)
            .finish_non_exhaustive()
    }
}

struct Counting {
    filter: Filter,
    counted: Vec<Command>,
    replies: Vec<String>,
    trap: Option<(u64, Trap)>,
}

pub(crate) struct Shared {
    pub(crate) socket: PathBuf,
    counting: Mutex<Counting>,
    /// Rises when every connection is to be closed.
    pub(crate) cuts: watch::Sender<u64>,
    /// Rises when what is held may go on.
    releases: watch::Sender<u64>,
    sprung: watch::Sender<bool>,
}

impl Shared {
    fn counting(&self) -> MutexGuard<'_, Counting> {
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a command; answers the trap if it is the one that was waited for.
    pub(crate) fn count(&self, command: &Command) -> Option<Trap> {
        let filter = Arc::clone(&self.counting().filter);
        if !filter(command) {
            return None;
        }
        let mut counting = self.counting();
        counting.counted.push(command.clone());
        let nth = counting.counted.len() as u64;
        counting
            .trap
            .take_if(|(wanted, _)| *wanted == nth)
            .map(|(_, trap)| trap)
    }

    /// A reply is sent on.
    pub(crate) fn replied(&self, reply: &[u8]) {
        let reply = String::from_utf8_lossy(reply).into_owned();
        self.counting().replies.push(reply);
    }

    /// Performs the action and what the proxy is to do then. Answers whether the connection goes on.
    pub(crate) async fn spring(&self, trap: Trap, command: &Command) -> bool {
        let mut releases = self.releases.subscribe();
        let then = (trap.action)(command);
        self.sprung.send_replace(true);
        match then {
            Then::Continue => true,
            Then::Cut => false,
            Then::CutAll => {
                self.cut_all();
                false
            }
            // The sender lives as long as the proxy.
            Then::Hold => releases.changed().await.is_ok(),
        }
    }

    fn cut_all(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// The proxy. Its connections are closed when it is dropped.
pub struct CommandProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl CommandProxy {
    /// A proxy in front of that server, on a free port of 127.0.0.1. It counts every command. Needs a tokio runtime,
    /// which it runs on.
    pub async fn start(redis: &TestRedis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the address of a listener");
        let shared = Arc::new(Shared {
            socket: redis.socket().to_owned(),
            counting: Mutex::new(Counting {
                filter: Arc::new(|_| true),
                counted: Vec::new(),
                replies: Vec::new(),
                trap: None,
            }),
            cuts: watch::Sender::new(0),
            releases: watch::Sender::new(0),
            sprung: watch::Sender::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where it listens, `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// From here on only commands that the condition holds for are counted, from 1. What was counted before is
    /// forgotten, and so are the replies.
    pub fn count(&self, condition: impl Fn(&Command) -> bool + Send + Sync + 'static) {
        let mut counting = self.shared.counting();
        counting.filter = Arc::new(condition);
        counting.counted.clear();
        counting.replies.clear();
    }

    /// Performs `action` once, at that point of the n-th command that is counted, and does with the connection what the
    /// action says. It may block for some milliseconds, as sending a signal does. Replaces an action that has not been
    /// performed.
    pub fn arm(&self, nth: u64, point: Point, action: impl FnOnce(&Command) -> Then + Send + 'static) {
        let trap = Trap {
            point,
            action: Box::new(action),
        };
        self.shared.counting().trap = Some((nth, trap));
        self.shared.sprung.send_replace(false);
    }

    /// Takes back what was armed. Answers whether it could: if not, there was nothing, or it has met its command, and is
    /// or will be performed.
    pub fn disarm(&self) -> bool {
        self.shared.counting().trap.take().is_some()
    }

    /// Whether the action has been performed.
    #[must_use]
    pub fn has_sprung(&self) -> bool {
        *self.shared.sprung.borrow()
    }

    /// Returns when the action has been performed, which may be never.
    pub async fn sprung(&self) {
        // The sender lives as long as the proxy.
        let _ = self.shared.sprung.subscribe().wait_for(|sprung| *sprung).await;
    }

    /// Lets what is held go on.
    pub fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    /// Closes every connection. Those made later are served.
    pub fn cut_all(&self) {
        self.shared.cut_all();
    }

    /// The replies that clients have been sent so far, to whatever command, as they came and in the order in which they
    /// went.
    #[must_use]
    pub fn replies(&self) -> Vec<String> {
        self.shared.counting().replies.clone()
    }

    /// The commands counted so far, in the order in which they came.
    #[must_use]
    pub fn counted(&self) -> Vec<Command> {
        self.shared.counting().counted.clone()
    }
}

impl fmt::Debug for CommandProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CommandProxy")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for CommandProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Until it is aborted, which ends all connections with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                connections.spawn(serve(client, Arc::clone(&shared)));
            }
            Some(ended) = connections.join_next() => {
                if let Ok(Err(problem)) = ended {
                    // Peers that go away are what this is made for.
                    assert_ne!(problem.kind(), io::ErrorKind::InvalidData, "a peer does not speak RESP: {problem}");
                }
            }
        }
    }
}

async fn serve(client: tokio::net::TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut cuts = shared.cuts.subscribe();
    client.set_nodelay(true)?;
    tokio::select! {
        _ = cuts.changed() => Ok(()),
        ended = relay(client, &shared) => ended,
    }
}
