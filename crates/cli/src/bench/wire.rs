//! A connection to the server that is as bare as can be: commands are written as bytes and replies are read, without a
//! library or a pool between. What the server can do at most is measured over it, and what the store has no view of is read.
//! Blocking: call it from a thread that may block.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use testfleet_bootstrap::settings::SecretUrl;
use url::Url;

use crate::exit::Failure;

/// The longest wait for a reply.
const PATIENCE: Duration = Duration::from_secs(60);
/// Replies nest no deeper than this in anything that is asked here.
const DEEPEST: u32 = 8;
/// The largest reply that is read, in bytes or elements.
const LARGEST: usize = 64 << 20;

/// A reply of the server, except an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Word(String),
    Number(i64),
    /// `None`: there is nothing.
    Bytes(Option<Vec<u8>>),
    List(Vec<Reply>),
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// An open connection.
pub(super) struct Wire {
    reader: BufReader<Box<dyn Stream>>,
    writer: Box<dyn Stream>,
    unsent: Vec<u8>,
}

/// Where a URL leads, and as whom.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    place: Place,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Tcp(String, u16),
    Unix(String),
}

impl Wire {
    /// Connects, authenticates and selects the database.
    pub(super) fn open(url: &SecretUrl) -> Result<Self, Failure> {
        let target = target(url.expose())?;
        let wrong = |error| broken("connect", &error);
        let (reading, writing): (Box<dyn Stream>, Box<dyn Stream>) = match &target.place {
            Place::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).map_err(wrong)?;
                stream.set_nodelay(true).map_err(wrong)?;
                stream.set_read_timeout(Some(PATIENCE)).map_err(wrong)?;
                (Box::new(stream.try_clone().map_err(wrong)?), Box::new(stream))
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).map_err(wrong)?;
                stream.set_read_timeout(Some(PATIENCE)).map_err(wrong)?;
                (Box::new(stream.try_clone().map_err(wrong)?), Box::new(stream))
            }
        };
        let mut wire = Self {
            reader: BufReader::with_capacity(1 << 16, reading),
            writer: writing,
            unsent: Vec::with_capacity(1 << 18),
        };
        if let Some(password) = &target.password {
            match &target.user {
                Some(user) => wire.ask(&["AUTH", user, password])?,
                None => wire.ask(&["AUTH", password])?,
            };
        }
        if let Some(database) = &target.database {
            wire.ask(&["SELECT", database])?;
        }
        Ok(wire)
    }

    /// Puts a command into the next write.
    pub(super) fn put(&mut self, words: &[&[u8]]) {
        self.unsent
            .extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.unsent.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.unsent.extend_from_slice(word);
            self.unsent.extend_from_slice(b"\r\n");
        }
    }

    /// Sends everything put so far, in one write.
    pub(super) fn send(&mut self) -> Result<(), Failure> {
        self.writer
            .write_all(&self.unsent)
            .map_err(|error| broken("send", &error))?;
        self.unsent.clear();
        Ok(())
    }

    /// The reply to the next command.
    pub(super) fn reply(&mut self) -> Result<Reply, Failure> {
        read_reply(&mut self.reader, DEEPEST)
    }

    /// One command and its reply.
    pub(super) fn ask(&mut self, words: &[&str]) -> Result<Reply, Failure> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.put(&words);
        self.send()?;
        self.reply()
    }

    /// The memory the server uses now for data and itself, in bytes.
    pub(super) fn used_memory(&mut self) -> Result<f64, Failure> {
        let Reply::Bytes(Some(info)) = self.ask(&["INFO", "memory"])? else {
            return Err(Failure::internal("the server gave no INFO"));
        };
        let info = String::from_utf8_lossy(&info);
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        used.and_then(|bytes| bytes.trim().parse().ok())
            .ok_or_else(|| Failure::internal("the server does not tell its used_memory"))
    }

    /// Removes every key that begins with this prefix and a colon. Answers how many.
    pub(super) fn clear(&mut self, prefix: &str) -> Result<usize, Failure> {
        let pattern = format!("{prefix}:*");
        let (mut cursor, mut removed) = ("0".to_owned(), 0);
        loop {
            let Reply::List(answer) = self.ask(&["SCAN", &cursor, "MATCH", &pattern, "COUNT", "1000"])? else {
                return Err(Failure::internal("the server cannot scan its keys"));
            };
            let [Reply::Bytes(Some(next)), Reply::List(keys)] = answer.as_slice() else {
                return Err(Failure::internal("the server cannot scan its keys"));
            };
            let mut command: Vec<&[u8]> = vec![b"UNLINK"];
            command.extend(keys.iter().filter_map(|key| match key {
                Reply::Bytes(Some(key)) => Some(key.as_slice()),
                _ => None,
            }));
            if command.len() > 1 {
                removed += command.len() - 1;
                self.put(&command);
                self.send()?;
                self.reply()?;
            }
            cursor = String::from_utf8_lossy(next).into_owned();
            if cursor == "0" {
                return Ok(removed);
            }
        }
    }
}

fn broken(doing: &str, error: &std::io::Error) -> Failure {
    Failure::unreachable(format!("could not {doing} over a bare connection to Redis: {error}"))
}

fn target(url: &str) -> Result<Target, Failure> {
    let unusable = |why: &str| Failure::usage(format!("a bare connection to this Redis is not possible: {why}"));
    let url = Url::parse(url).map_err(|_| unusable("its URL cannot be read"))?;
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let given = |text: &str| (!text.is_empty()).then(|| decode(text));
    let asked = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    match url.scheme() {
        "redis" | "valkey" => Ok(Target {
            place: Place::Tcp(
                url.host_str()
                    .unwrap_or("127.0.0.1")
                    .trim_matches(['[', ']'])
                    .to_owned(),
                url.port().unwrap_or(6379),
            ),
            user: given(url.username()),
            password: url.password().map(decode),
            database: given(url.path().trim_matches('/')),
        }),
        "redis+unix" | "valkey+unix" | "unix" => Ok(Target {
            place: Place::Unix(decode(url.path())),
            user: asked("user"),
            password: asked("pass"),
            database: asked("db"),
        }),
        _ => Err(unusable("name it by redis:// or a Unix socket")),
    }
}

fn read_reply(from: &mut impl BufRead, depth: u32) -> Result<Reply, Failure> {
    let mut line = Vec::with_capacity(32);
    from.take(LARGEST as u64)
        .read_until(b'\n', &mut line)
        .map_err(|error| broken("read", &error))?;
    let Some((kind, rest)) = line.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) else {
        return Err(Failure::unreachable("Redis closed a bare connection"));
    };
    let text = String::from_utf8_lossy(rest);
    let number = || {
        text.parse::<i64>()
            .map_err(|_| Failure::internal(format!("Redis answered what is no number: {text:?}")))
    };
    let length = || Ok::<_, Failure>(usize::try_from(number()?).ok().map(|length| length.min(LARGEST)));
    match kind {
        b'+' => Ok(Reply::Word(text.into_owned())),
        b'-' => Err(Failure::internal(format!("Redis refused a command: {text}"))),
        b':' => Ok(Reply::Number(number()?)),
        b'$' => {
            let Some(length) = length()? else {
                return Ok(Reply::Bytes(None));
            };
            let mut bytes = vec![0; length + 2];
            from.read_exact(&mut bytes).map_err(|error| broken("read", &error))?;
            bytes.truncate(length);
            Ok(Reply::Bytes(Some(bytes)))
        }
        b'*' if depth > 0 => {
            let count = length()?.unwrap_or(0);
            (0..count)
                .map(|_| read_reply(from, depth - 1))
                .collect::<Result<_, _>>()
                .map(Reply::List)
        }
        _ => Err(Failure::internal(format!(
            "Redis answered what cannot be read: {:?}",
            String::from_utf8_lossy(&line)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str) -> Result<Reply, Failure> {
        read_reply(&mut bytes.as_bytes(), DEEPEST)
    }

    #[test]
    fn replies_of_every_kind_are_read() {
        assert_eq!(read("+OK\r\n").unwrap(), Reply::Word("OK".to_owned()));
        assert_eq!(read(":-7\r\n").unwrap(), Reply::Number(-7));
        assert_eq!(read("$2\r\na\n\r\n").unwrap(), Reply::Bytes(Some(b"a\n".to_vec())));
        assert_eq!(read("$-1\r\n").unwrap(), Reply::Bytes(None));
        let list = read("*2\r\n$1\r\n0\r\n*1\r\n:4\r\n").unwrap();
        let inner = Reply::List(vec![Reply::Number(4)]);
        assert_eq!(list, Reply::List(vec![Reply::Bytes(Some(b"0".to_vec())), inner]));
    }

    #[test]
    fn errors_and_what_was_cut_off_are_failures() {
        let refused = read("-ERR no\r\n").unwrap_err();
        assert!(refused.message().contains("ERR no"), "{}", refused.message());
        for cut in ["", "$4\r\nab", ":x\r\n", "?\r\n", "*2\r\n:1\r\n"] {
            assert!(read(cut).is_err(), "{cut:?}");
        }
        assert!(read(&"*1\r\n".repeat(20)).is_err());
    }

    #[test]
    fn urls_lead_where_they_say() {
        let tcp = target("redis://ada:p%40ss@10.0.0.7:7000/3").unwrap();
        assert_eq!(tcp.place, Place::Tcp("10.0.0.7".to_owned(), 7000));
        assert_eq!(
            (tcp.user.as_deref(), tcp.password.as_deref()),
            (Some("ada"), Some("p@ss"))
        );
        assert_eq!(tcp.database.as_deref(), Some("3"));
        let plain = target("redis://localhost").unwrap();
        assert_eq!(plain.place, Place::Tcp("localhost".to_owned(), 6379));
        assert_eq!((plain.password, plain.database), (None, None));
        let six = target("redis://[::1]:7000").unwrap();
        assert_eq!(six.place, Place::Tcp("::1".to_owned(), 7000));
        let socket = target("redis+unix:///run/r.sock?db=1&pass=lovelace").unwrap();
        assert_eq!(socket.place, Place::Unix("/run/r.sock".to_owned()));
        assert_eq!(
            (socket.password.as_deref(), socket.database.as_deref()),
            (Some("lovelace"), Some("1"))
        );
    }

    #[test]
    fn an_unknown_kind_of_server_is_refused() {
        let refused = target("rediss://host:6380").unwrap_err();
        assert!(refused.message().contains("redis://"), "{}", refused.message());
    }
}
