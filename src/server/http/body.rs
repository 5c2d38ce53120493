//! Bodies of requests: no larger, no slower and no more at a time than they may be.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// How long a body may take.
const TIME: Duration = Duration::from_secs(30);

/// Reads a body.
///
/// # Errors
/// 413 where it is larger, 408 where it takes too long, 400 where it breaks off.
pub(in crate::server) async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(TIME, to_bytes(body, limit)).await {
        Err(_) => Err(Problem::new(408, "too_slow", "the body took too long")),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_large(&error) => {
            Err(Problem::new(413, "too_large", &format!("the body has more than {limit} bytes")))
        }
        Ok(Err(_)) => Err(Problem::bad_request("the body broke off")),
    }
}

/// Room in memory for large bodies of those who are not known yet: a place for each byte.
#[derive(Debug, Clone)]
pub(in crate::server) struct Room(Arc<Semaphore>);

/// A body, and the room that it takes while it is there.
#[derive(Debug)]
pub(in crate::server) struct Housed {
    pub(in crate::server) bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(in crate::server) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Reads a body as far as there is room for it beside the others.
    ///
    /// # Errors
    /// As [`read`]; 503 where there is no room.
    pub(in crate::server) async fn read(&self, body: Body, limit: usize) -> Result<Housed, Problem> {
        let read = tokio::time::timeout(TIME, self.collect(body, limit)).await;
        read.unwrap_or_else(|_| Err(Problem::new(408, "too_slow", "the body took too long")))
    }

    async fn collect(&self, body: Body, limit: usize) -> Result<Housed, Problem> {
        let (mut bytes, mut room) = (Vec::new(), None::<OwnedSemaphorePermit>);
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Problem::bad_request("the body broke off"))?;
            if bytes.len() + piece.len() > limit {
                return Err(Problem::new(413, "too_large", &format!("the body has more than {limit} bytes")));
            }
            // What has not come takes no room: whoever only says that much is coming keeps nobody out.
            let more =
                u32::try_from(piece.len()).ok().and_then(|more| self.0.clone().try_acquire_many_owned(more).ok());
            let more = more.ok_or_else(|| Problem::new(503, "busy", "too much is being received; send it again"))?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Housed { bytes, _room: room })
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_have_the_room_that_others_leave() {
        let room = Room::new(100);
        let body = |bytes: usize| Body::from(vec![b'x'; bytes]);
        let first = room.read(body(60), 80).await.unwrap();
        assert_eq!(room.read(body(81), 80).await.unwrap_err().status, 413);
        assert_eq!(room.read(body(60), 80).await.unwrap_err().status, 503);
        let second = room.read(body(40), 80).await.unwrap();
        assert_eq!((first.bytes.len(), second.bytes.len()), (60, 40));
        drop(first);
        room.read(body(60), 80).await.unwrap();
    }
}
