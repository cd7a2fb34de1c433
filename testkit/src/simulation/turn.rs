//! Turns: the points at which another node may go first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;

/// Gives way once. Every call at a port begins with one, so that whoever polls decides what happens in what order, and
/// a future that is dropped between two polls is a process that died between two effects.
#[derive(Debug, Default)]
pub struct Turn(bool);

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            Poll::Ready(())
        } else {
            self.0 = true;
            Poll::Pending
        }
    }
}

/// A piece of work under way, polled by hand.
pub struct Task<T> {
    future: BoxFuture<'static, T>,
}

impl<T> Task<T> {
    /// Work that has not begun.
    pub fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            future: Box::pin(future),
        }
    }

    /// Goes on to the next turn; the result when it ended.
    pub fn step(&mut self) -> Option<T> {
        match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

/// Polls work to its end, without anybody between; `None` when it never ends.
pub fn finish<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    (0..1_000_000).find_map(
        |_| match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        },
    )
}
