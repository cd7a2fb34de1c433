//! Bodies of requests that nobody has proven yet: bounded in size, in time, and in what all of them together hold.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a body may take to arrive.
pub const BODY_WITHIN: Duration = Duration::from_secs(10);
/// What all bodies in memory may hold together, in bytes.
pub const ALL_BODIES_BYTES: usize = 64 << 20;
/// The unit of that account.
const UNIT_BYTES: usize = 1 << 10;

/// The room for all bodies.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

/// A body, and the room that it takes while this lives.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is larger than it may be.
    TooLarge,
    /// It took too long.
    TooSlow,
    /// It broke off.
    Broken,
    /// All bodies together hold as much as they may.
    NoRoom,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL_BODIES_BYTES / UNIT_BYTES)))
    }
}

impl Room {
    /// Reads a body of at most `limit` bytes. Room is taken as bytes arrive, not as they are announced: who announces
    /// much and sends little keeps nobody out.
    pub(super) async fn read(&self, body: Body, limit: usize) -> Result<Held, Unread> {
        if body.size_hint().lower() > limit as u64 {
            return Err(Unread::TooLarge);
        }
        tokio::time::timeout(BODY_WITHIN, self.read_all(body, limit))
            .await
            .unwrap_or(Err(Unread::TooSlow))
    }

    async fn read_all(&self, body: Body, limit: usize) -> Result<Held, Unread> {
        let mut stream = body.into_data_stream();
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        let mut seen = 0usize;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| Unread::Broken)?;
            seen += piece.len();
            if seen > limit {
                return Err(Unread::TooLarge);
            }
            self.take(&mut room, seen)?;
            match first.take() {
                // Most bodies are one piece, and are not copied.
                None if more.is_empty() => first = Some(piece),
                None => more.extend_from_slice(&piece),
                Some(before) => {
                    more.extend_from_slice(&before);
                    more.extend_from_slice(&piece);
                }
            }
        }
        Ok(Held {
            bytes: first.unwrap_or_else(|| more.freeze()),
            _room: room,
        })
    }

    fn take(&self, room: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Unread> {
        let wanted = bytes.div_ceil(UNIT_BYTES);
        let had = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(missing) = wanted.checked_sub(had).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let missing = u32::try_from(missing).map_err(|_| Unread::TooLarge)?;
        let got = Arc::clone(&self.0)
            .try_acquire_many_owned(missing)
            .map_err(|_| Unread::NoRoom)?;
        match room {
            Some(room) => room.merge(got),
            None => *room = Some(got),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn pieces(sizes: &[usize]) -> Body {
        let pieces: Vec<Result<Bytes, std::io::Error>> =
            sizes.iter().map(|size| Ok(Bytes::from(vec![7; *size]))).collect();
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_limit_and_never_beyond() {
        let room = Room::default();
        for sizes in [&[][..], &[5], &[2, 3], &[1, 1, 1, 2]] {
            let held = room.read(pieces(sizes), 5).await.map(|held| held.bytes.len());
            assert_eq!(held.unwrap_or(usize::MAX), sizes.iter().sum::<usize>());
        }
        for sizes in [&[6][..], &[5, 1], &[1, 1, 1, 1, 1, 1]] {
            assert_eq!(room.read(pieces(sizes), 5).await.err(), Some(Unread::TooLarge));
        }
        let announced = Body::from(vec![0; 6]);
        assert_eq!(room.read(announced, 5).await.err(), Some(Unread::TooLarge));
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_bound_and_give_their_room_back() {
        let room = Room::default();
        let mut held = Vec::new();
        for _ in 0..ALL_BODIES_BYTES >> 20 {
            held.push(room.read(Body::from(vec![0; 1 << 20]), 1 << 20).await);
        }
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(room.read(Body::from("x"), 5).await.err(), Some(Unread::NoRoom));
        held.pop();
        assert!(room.read(Body::from("x"), 5).await.is_ok());
    }
}
