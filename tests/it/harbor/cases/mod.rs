//! How Harbor answers, case by case: the numbers are those of `docs/harbor-answers.md`.

mod blobs;
mod document;
mod listed;
mod logins;
mod manifests;
mod outages;
mod outside;
mod projects;
mod rotate;
mod rotation;
mod tls;

use slipway::image::transfer::{self, Copied, Place};
use slipway::model::failure::Failure;
use tokio::sync::oneshot;

use crate::support::harbor::state::{Instead, State};
use crate::support::harbor::{Harbor, access};

/// A Harbor with the project `trade`, and a robot that pushes there.
fn trade() -> (Harbor, (String, String)) {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", &["repository:push"]);
    (harbor, robot)
}

/// Lets something happen at the first request whose line has all of these words.
pub(super) fn at_first(
    harbor: &Harbor,
    words: &'static [&'static str],
    mut happens: impl FnMut(&mut State) -> Option<Instead> + Send + 'static,
) {
    let mut done = false;
    harbor.state().when = Some(Box::new(move |state, line, _| {
        if done || !words.iter().all(|word| line.contains(word)) {
            return None;
        }
        done = true;
        happens(state)
    }));
}

/// Holds the answer to the first request whose line has all of these words: the first end is told when the request has
/// come, the second lets it go on.
pub(super) fn hold(harbor: &Harbor, words: &'static [&'static str]) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
    let ((reached, at), (release, released)) = (oneshot::channel(), oneshot::channel());
    let mut ends = Some((reached, released));
    at_first(harbor, words, move |_| {
        let (reached, released) = ends.take()?;
        reached.send(()).unwrap();
        Some(Instead::Held(released))
    });
    (at, release)
}

/// How many requests have all of these words.
fn count(requests: &[String], words: &[&str]) -> usize {
    requests.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

/// Copies an image, each side with an account of its own.
async fn copy(
    harbor: &Harbor,
    (reader, from): (&(String, String), &str),
    (writer, to): (&(String, String), &str),
) -> Result<Copied, Failure> {
    let from = Place::new(harbor.reference(from), access(reader)).await.unwrap();
    let to = Place::new(harbor.reference(to), access(writer)).await.unwrap();
    transfer::copy(&from, &to, &|_| {}).await
}
