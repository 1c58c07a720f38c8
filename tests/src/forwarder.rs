//! A wire that can be cut: forwards TCP connections to a server until a test parts the two sides.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// Bytes pass.
    Whole,
    /// Bytes are kept until the wire is whole again; connections stay open and new ones are accepted.
    Held,
    /// Connections are closed, new ones too.
    Cut,
}

#[derive(Debug)]
struct Shared {
    wire: Mutex<Wire>,
    changed: Condvar,
    streams: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, wire: Wire) {
        *self.wire() = wire;
        self.changed.notify_all();
    }

    /// Waits while bytes are held; answers whether they may pass.
    fn may_pass(&self) -> bool {
        let waited = self.changed.wait_while(self.wire(), |wire| *wire == Wire::Held);
        *waited.unwrap_or_else(PoisonError::into_inner) == Wire::Whole
    }

    fn streams(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forwards from a port of its own to a server. It knows nothing of what is said.
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Forwarder {
    /// Forwards to `target` from a free port of this machine. Its threads end with the process of the test.
    #[must_use]
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the address of a listener");
        let shared = Arc::new(Shared {
            wire: Mutex::new(Wire::Whole),
            changed: Condvar::new(),
            streams: Mutex::default(),
        });
        let forwarding = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&forwarding);
                thread::spawn(move || drop(forward(stream, target, &shared)));
            }
        });
        Self { address, shared }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Keeps every byte from here on, as a network does that drops packets: nobody is told, and calls hang.
    pub fn hold(&self) {
        self.shared.set(Wire::Held);
    }

    /// Closes every connection, and every one that is made from here on.
    pub fn cut(&self) {
        self.shared.set(Wire::Cut);
        for stream in self.shared.streams().drain(..) {
            // It may have been closed by its owner.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Makes the wire whole again: what was held is delivered.
    pub fn heal(&self) {
        self.shared.set(Wire::Whole);
    }
}

fn forward(client: TcpStream, target: SocketAddr, shared: &Arc<Shared>) -> std::io::Result<()> {
    if !shared.may_pass() {
        return client.shutdown(Shutdown::Both);
    }
    let server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    shared.streams().extend([client.try_clone()?, server.try_clone()?]);
    let (back_from, back_to, back_shared) = (server.try_clone()?, client.try_clone()?, Arc::clone(shared));
    thread::spawn(move || copy(back_from, back_to, &back_shared));
    copy(client, server, shared);
    Ok(())
}

/// Copies until one side ends, and then ends the other.
fn copy(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !shared.may_pass() || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // Either may be closed already.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        address
    }

    #[test]
    fn what_is_held_arrives_when_the_wire_is_whole_again() {
        let wire = Forwarder::start(echo());
        let mut client = TcpStream::connect(wire.address()).unwrap();
        client.write_all(b"a").unwrap();
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        wire.hold();
        client.write_all(b"b").unwrap();
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            client.read_exact(&mut byte).unwrap();
            send.send(byte[0]).unwrap();
        });
        assert!(receive.recv_timeout(Duration::from_millis(50)).is_err(), "it passed");
        wire.heal();
        assert_eq!(receive.recv().unwrap(), b'b');
    }

    #[test]
    fn a_cut_wire_ends_its_connections_and_a_healed_one_takes_new_ones() {
        let wire = Forwarder::start(echo());
        let mut old = TcpStream::connect(wire.address()).unwrap();
        let mut byte = [0];
        old.write_all(b"a").unwrap();
        old.read_exact(&mut byte).unwrap();
        wire.cut();
        assert_eq!(old.read(&mut byte).unwrap_or(0), 0);
        wire.heal();
        let mut new = TcpStream::connect(wire.address()).unwrap();
        new.write_all(b"c").unwrap();
        new.read_exact(&mut byte).unwrap();
        assert_eq!(byte[0], b'c');
    }
}
