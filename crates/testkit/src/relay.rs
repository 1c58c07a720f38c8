//! One connection of the proxy: splits both directions into values, and springs the trap at its point.

use std::collections::VecDeque;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::proxy::{Command, Point, READING, Shared, Trap};
use crate::resp::{self, Malformed};

/// A command whose reply has not come, with what is to happen around the reply.
type Awaited = Option<(Trap, Command)>;

/// Forwards until one side goes away or an action cuts the connection.
pub(crate) async fn relay(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let server = UnixStream::connect(&shared.socket).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut commands, mut replies) = (Vec::new(), Vec::new());
    let mut awaited: VecDeque<Awaited> = VecDeque::new();
    loop {
        tokio::select! {
            read = from_client.read_buf(&mut commands) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some(bytes) = take(&mut commands)? {
                    let command = Command::new(resp::parts(&bytes).map_err(malformed)?);
                    let mut trap = shared.count(&command).map(|trap| (trap, command));
                    if let Some((sprung, command)) = trap.take_if(|(trap, _)| trap.point == Point::Before)
                        && !shared.spring(sprung, &command).await
                    {
                        return Ok(());
                    }
                    awaited.push_back(trap);
                    to_server.write_all(&bytes).await?;
                }
            }
            read = from_server.read_buf(&mut replies) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some(bytes) = take(&mut replies)? {
                    let mut trap = if resp::is_push(&bytes) { None } else { awaited.pop_front().flatten() };
                    if let Some((sprung, command)) = trap.take_if(|(trap, _)| trap.point == Point::Executed)
                        && !shared.spring(sprung, &command).await
                    {
                        return Ok(());
                    }
                    shared.replied(&bytes);
                    to_client.write_all(&bytes).await?;
                    if let Some((sprung, command)) = trap {
                        tokio::time::sleep(READING).await;
                        if !shared.spring(sprung, &command).await {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

/// The first value of the buffer, taken out of it; `None` while it is incomplete.
fn take(buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let length = resp::value_length(buffer).map_err(malformed)?;
    Ok(length.map(|length| buffer.drain(..length).collect()))
}

#[expect(clippy::needless_pass_by_value, reason = "map_err gives a value")]
fn malformed(error: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
