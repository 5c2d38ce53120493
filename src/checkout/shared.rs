//! One question for all who ask a repository the same thing at the same time, as the applications of one push do.
//!
//! An answer counts only for those who had asked before the question was put, so each build's access is still
//! proven after its request came.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::access::Access;
use super::remote::{self, Remote};
use crate::model::failure::Failure;
use crate::model::source::RepositoryUrl;

/// How long one waits for somebody else's question, which may have met a connection that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

type Key = [u8; 32];
type Answer = Result<Arc<Remote>, Failure>;

/// Held while the question is put; then when that was, and what came.
type Question = tokio::sync::Mutex<Option<(Instant, Answer)>>;

static QUESTIONS: LazyLock<Mutex<HashMap<Key, Weak<Question>>>> = LazyLock::new(Mutex::default);

/// As [`remote::list`], together with those who ask meanwhile and are shown the same.
pub(super) async fn list(access: &Access, url: &RepositoryUrl, references: &[String]) -> Answer {
    together(key(access, url, references), || remote::list(access, url, references)).await
}

/// Everything that the answer depends on.
fn key(access: &Access, url: &RepositoryUrl, references: &[String]) -> Key {
    let credentials = access.bound(url).map_or("", |credentials| credentials.name.as_str());
    let account = access.account(url).map_or(["", ""], |account| [&account.username, &account.password]);
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    let references = references.iter().map(String::as_str);
    [url.as_str(), credentials].into_iter().chain(account).chain(references).for_each(&mut add);
    // An answer that came by a redirect is not for those who may not go there.
    add(&format!("{:?}", (access.ssh(url), access.own_ssh, &access.allow, &access.ca_bundle, &access.proxy)));
    hash.finalize().into()
}

async fn together(key: Key, put: impl AsyncFnOnce() -> Result<Remote, Failure>) -> Answer {
    let asked = Instant::now();
    let question = question(key);
    let Ok(mut last) = tokio::time::timeout(PATIENCE, question.lock()).await else {
        return put().await.map(Arc::new);
    };
    if let Some((put_at, answer)) = &*last
        && *put_at >= asked
    {
        return answer.clone();
    }
    let put_at = Instant::now();
    let answer = put().await.map(Arc::new);
    *last = Some((put_at, answer.clone()));
    answer
}

fn question(key: Key) -> Arc<Question> {
    let mut questions = QUESTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(question) = questions.get(&key).and_then(Weak::upgrade) {
        return question;
    }
    questions.retain(|_, question| question.strong_count() > 0);
    let question = Arc::default();
    questions.insert(key, Arc::downgrade(&question));
    question
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::checkout::access::{AllowList, Credentials};
    use crate::model::failure::FailureCode;
    use crate::secrets::Account;

    fn remote() -> Remote {
        Remote { url: url(), references: std::collections::BTreeMap::new(), default_branch: None }
    }

    fn url() -> RepositoryUrl {
        "https://gitlab.example.com/trade/order".parse().unwrap()
    }

    #[tokio::test]
    async fn who_asks_while_a_question_is_put_waits_for_the_next() {
        let (put, open) = (AtomicUsize::new(0), tokio::sync::Semaphore::new(0));
        let ask = || {
            together([1; 32], async || {
                put.fetch_add(1, Ordering::SeqCst);
                open.acquire().await.unwrap().forget();
                Ok(remote())
            })
        };
        let (first, others) = (ask(), join_all((0..10).map(|_| ask())));
        let all = async { tokio::join!(first, others) };
        let (answers, ()) = tokio::join!(all, async { open.add_permits(2) });
        assert!(answers.0.is_ok() && answers.1.iter().all(Result::is_ok));
        assert_eq!(put.load(Ordering::SeqCst), 2, "the one that was under way, and one for the ten who came later");
        open.add_permits(1);
        ask().await.unwrap();
        assert_eq!(put.load(Ordering::SeqCst), 3, "an answer counts for nobody who comes after it");
    }

    #[tokio::test]
    async fn a_question_that_was_given_up_stops_nobody() {
        let fail = || Failure::new(FailureCode::SourceUnavailable, "gone");
        let given_up = together([2; 32], std::future::pending);
        assert!(tokio::time::timeout(Duration::from_millis(1), given_up).await.is_err());
        let answer = together([2; 32], async || Err(fail())).await;
        assert_eq!(answer.unwrap_err().code, FailureCode::SourceUnavailable);
        assert!(together([2; 32], async || Ok(remote())).await.is_ok());
    }

    #[test]
    fn nobody_shares_with_those_who_are_shown_something_else() {
        let account = |password: &str| Access {
            credentials: Some(Credentials {
                name: "gitlab".into(),
                account: Some(Account { username: "slipway".into(), password: password.into() }),
                ssh: None,
                hosts: vec!["gitlab.example.com".into()],
            }),
            ..Access::default()
        };
        let everything = Access { allow: AllowList::Everything, ..account("one") };
        let main = ["refs/heads/main".to_owned()];
        let mut keys = vec![
            key(&account("one"), &url(), &main),
            key(&account("two"), &url(), &main),
            key(&everything, &url(), &main),
            key(&Access::default(), &url(), &main),
            key(&account("one"), &url(), &[]),
            key(&account("one"), &"https://gitlab.example.com/trade/orders".parse().unwrap(), &main),
        ];
        assert_eq!(keys[0], key(&account("one"), &url(), &main));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 6);
    }
}
