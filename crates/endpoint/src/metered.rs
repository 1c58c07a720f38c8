//! A connection that reads no more of one message than is free until there is permission for all of it.
//!
//! The WebSocket library holds a message until it is whole, where nobody sees how much there is of it; so the bytes are
//! counted below it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::memory::FREE_READING;

/// Counts what is read of one message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// Told when reading stops for want of permission.
    stopped: Notify,
}

#[derive(Debug, Default)]
struct State {
    read: usize,
    permitted: bool,
    waker: Option<Waker>,
}

impl Meter {
    /// Returns when more is to be read than is free.
    pub(crate) async fn wants_permission(&self) {
        self.inner.stopped.notified().await;
    }

    /// Lets reading go on, for all messages of the connection.
    pub(crate) fn permit(&self) {
        let waker = self.with(|state| {
            state.permitted = true;
            state.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Another answer is to be read, with a permission of its own.
    pub(crate) fn begin_answer(&self) {
        self.with(|state| {
            state.read = 0;
            state.permitted = false;
        });
    }

    /// A message is whole. What was read of the next one with it is not counted; that is at most the library's buffer.
    pub(crate) fn begin_message(&self) {
        self.with(|state| state.read = 0);
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.inner.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection whose reading is counted.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    meter: Meter,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, meter: Meter) -> Self {
        Self { stream, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = self.meter.with(|state| {
            if state.permitted {
                return usize::MAX;
            }
            let room = FREE_READING.saturating_sub(state.read);
            if room == 0 {
                state.waker = Some(context.waker().clone());
            }
            room
        });
        if room == 0 {
            self.meter.inner.stopped.notify_one();
            return Poll::Pending;
        }
        let room = room.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let read = Pin::new(&mut self.stream).poll_read(context, &mut part);
        let count = part.filled().len();
        buffer.advance(count);
        self.meter.with(|state| state.read += count);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_free_is_read_and_the_rest_waits_for_permission() {
        let (mut far, near) = tokio::io::duplex(4 * FREE_READING);
        far.write_all(&vec![7; 3 * FREE_READING]).await.unwrap();
        let meter = Meter::default();
        let mut near = Metered::new(near, meter.clone());
        let mut all = vec![0; 3 * FREE_READING];
        let permission = async {
            meter.wants_permission().await;
            let read = meter.with(|state| state.read);
            meter.permit();
            read
        };
        let (read, whole) = tokio::join!(permission, near.read_exact(&mut all));
        whole.unwrap();
        assert_eq!(read, FREE_READING);
        meter.begin_message();
        assert_eq!(meter.with(|state| state.read), 0);
    }
}
