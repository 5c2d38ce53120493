//! Changes that come at the same time are written together: the disk is waited for once, not once for each of them
//! (group commit). Each is still all or nothing by itself, by a savepoint of its own.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::{AnyPool, Executor as _};
use tokio::sync::{mpsc, oneshot};

use super::{Change, Store, commit, failed, silent};
use crate::model::failure::Failure;

/// How many changes are written at once at most.
const MEMBERS: usize = 64;

/// How many changes may wait to be written; who comes after them waits to be let in.
const WAITING: usize = 1024;

/// Tells whoever asked for a change what came of it.
type Tell = Box<dyn FnOnce() + Send>;

/// A change that waits for others; says whether it is to stay.
type Member = Box<dyn for<'a> FnOnce(&'a mut Change) -> BoxFuture<'a, (bool, Tell)> + Send>;

/// The way to the task that writes.
#[derive(Debug, Clone)]
pub(super) struct Together(mpsc::Sender<Member>);

impl Together {
    /// Starts the task that writes; it ends with the last store.
    pub(super) fn start(pool: AnyPool, begin: &'static str) -> Self {
        let (members, mut waiting) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut members: Vec<Member> = Vec::new();
            while waiting.recv_many(&mut members, MEMBERS).await > 0 {
                // Who is not told hears that the database is silent; the log has said why.
                match write(&pool, begin, members.drain(..)).await {
                    Ok(told) => told.into_iter().for_each(|tell| tell()),
                    Err(failure) => tracing::debug!(error = %failure, "changes were not written"),
                }
            }
        });
        Self(members)
    }
}

impl Store {
    /// Makes a change together with others that come at the same time; it is on the disk when this ends well. What
    /// fails is undone, without the others.
    ///
    /// # Errors
    /// What the work says; `internal` where the database does not answer.
    pub(in crate::server) async fn together<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Change) -> BoxFuture<'a, Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let (teller, told) = oneshot::channel();
        let member: Member = Box::new(move |change| {
            Box::pin(async move {
                let done = work(change).await;
                let stays = done.is_ok();
                let tell: Tell = Box::new(move || drop(teller.send(done)));
                (stays, tell)
            })
        });
        self.together.0.send(member).await.map_err(|_| silent())?;
        told.await.map_err(|_| silent())?
    }
}

/// Makes all the changes, and gives whom to tell of them.
async fn write(
    pool: &AnyPool,
    begin: &'static str,
    members: impl Iterator<Item = Member>,
) -> Result<Vec<Tell>, Failure> {
    let mut change = pool.begin_with(begin).await.map_err(|error| failed(&error))?;
    let mut told = Vec::new();
    for member in members {
        change.execute("SAVEPOINT member").await.map_err(|error| failed(&error))?;
        // One that panics is one that fails: its own request hears that, and the task goes on for all others.
        let done = AssertUnwindSafe(member(&mut change)).catch_unwind().await;
        let stays = matches!(done, Ok((true, _)));
        let end = if stays { "RELEASE SAVEPOINT member" } else { "ROLLBACK TO SAVEPOINT member" };
        change.execute(end).await.map_err(|error| failed(&error))?;
        if let Ok((_, tell)) = done {
            told.push(tell);
        } else {
            tracing::error!("a change panicked and is undone; the lines before say where");
        }
    }
    commit(change).await?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::super::deliveries::{self, Answered};
    use super::super::for_test;
    use super::*;
    use crate::model::failure::FailureCode;

    /// Notes an answer; then fails, where it is told to.
    async fn noted(store: &Store, key: &str, fails: bool) -> Result<bool, Failure> {
        let key = key.to_owned();
        let answered = Answered { body_hash: String::new(), status: 200, answer: String::new() };
        let work = store.together(move |change| {
            Box::pin(async move {
                let free = deliveries::answer(change, &key, &answered).await?;
                if fails { Err(Failure::new(FailureCode::RequestInvalid, "no")) } else { Ok(free) }
            })
        });
        work.await
    }

    #[tokio::test]
    async fn what_fails_is_undone_without_the_others() {
        let (store, _directory) = for_test().await;
        let (one, bad, two, again) = tokio::join!(
            noted(&store, "1", false),
            noted(&store, "2", true),
            noted(&store, "3", false),
            noted(&store, "1", false)
        );
        assert_eq!((one.unwrap(), two.unwrap(), again.unwrap()), (true, true, false));
        assert_eq!(bad.unwrap_err().code, FailureCode::RequestInvalid);
        assert!(store.answered("1").await.unwrap().is_some() && store.answered("3").await.unwrap().is_some());
        assert_eq!(store.answered("2").await.unwrap(), None);
    }

    #[tokio::test]
    async fn one_that_panics_takes_no_other_with_it() {
        let (store, _directory) = for_test().await;
        let panics = store.together::<()>(|change| {
            Box::pin(async move {
                let answered = Answered { body_hash: String::new(), status: 200, answer: String::new() };
                deliveries::answer(change, "2", &answered).await?;
                panic!("on purpose")
            })
        });
        let (one, panicked, three) = tokio::join!(noted(&store, "1", false), panics, noted(&store, "3", false));
        assert_eq!((one.unwrap(), three.unwrap()), (true, true));
        assert_eq!(panicked.unwrap_err().code, FailureCode::Internal);
        assert_eq!(store.answered("2").await.unwrap(), None, "what it had written is undone");
        assert!(noted(&store, "4", false).await.unwrap(), "the task goes on");
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_said_to_each() {
        let (store, _directory) = for_test().await;
        store.close().await;
        assert_eq!(noted(&store, "1", false).await.unwrap_err().code, FailureCode::Internal);
    }
}
