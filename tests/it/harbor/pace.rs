//! How much of a registry a push takes at a time, and what people are told meanwhile.

use std::num::NonZeroU16;
use std::sync::Mutex;

use futures_util::future::join_all;
use slipway::image::{Reach, RegistryAccess};
use tokio::sync::{mpsc, oneshot};

use super::cases::hold;
use super::ways::build;
use crate::support::harbor::state::Instead;
use crate::support::harbor::{Harbor, access};

/// A Harbor with a project and a robot that pushes there.
fn trade() -> (Harbor, (String, String)) {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", &["repository:push"]);
    (harbor, robot)
}

/// Three builds push at once to a registry that takes no byte for now, and have two requests there at a time; who pushes
/// elsewhere notices nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_registry_has_few_requests_at_a_time_and_delays_only_itself() {
    let ((slow, robot), (quick, other)) = (trade(), trade());
    let (come, mut held) = mpsc::unbounded_channel();
    slow.state().when = Some(Box::new(move |_, line, _| {
        line.starts_with("PATCH").then(|| {
            let (release, released) = oneshot::channel::<()>();
            come.send(release).unwrap();
            Instead::Held(released)
        })
    }));
    let reach = Reach { connections: NonZeroU16::new(2), ..Reach::default() };
    let access = RegistryAccess { reach, ..access(&robot) };
    let images = join_all((0..3).map(|_| build("assembler", 3_000_000))).await;
    let pushes = images.iter().enumerate().map(|(number, image)| {
        let reference = slow.reference(&format!("trade/order-{number}:1"));
        image.push_to(reference, &access)
    });
    let elsewhere = async {
        let first = [held.recv().await.unwrap(), held.recv().await.unwrap()];
        build("assembler", 3_000_000).await.push(&quick, &other, &["trade/order:1"]).await.unwrap();
        assert!(held.try_recv().is_err(), "a third body came while two were on their way");
        for release in first {
            release.send(()).unwrap();
        }
        held.recv().await.unwrap().send(()).unwrap();
    };
    let (all, ()) = tokio::join!(join_all(pushes), elsewhere);
    for one in all {
        one.unwrap();
    }
}

/// A body that takes its time is told of in bytes.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_takes_long_is_told_of_in_bytes() {
    let (harbor, robot) = trade();
    let image = build("assembler", 30 << 20).await;
    let (reached, release) = hold(&harbor, &["PATCH"]);
    let (release, lines) = (Mutex::new(Some(release)), Mutex::new(Vec::new()));
    let log = |line: &str| {
        lines.lock().unwrap().push(line.to_owned());
        if line.starts_with("pushed ")
            && let Some(release) = release.lock().unwrap().take()
        {
            release.send(()).unwrap();
        }
    };
    image.push_telling(harbor.reference("trade/order:1"), &access(&robot), &log).await.unwrap();
    reached.await.unwrap();
    let lines = lines.into_inner().unwrap();
    let told: Vec<&String> = lines.iter().filter(|line| line.starts_with("pushed ")).collect();
    assert!(told[0].ends_with(" of 30.0 MiB"), "{lines:#?}");
}

/// A blob that several repositories have is taken from the one that gives it.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_mounted_from_whichever_repository_gives_it() {
    let (harbor, robot) = trade();
    harbor.project("live");
    let live = harbor.robot("live", "push", &["repository:push"]);
    let image = build("assembler", 3_000_000).await;
    image.push(&harbor, &live, &["live/first:1"]).await.unwrap();
    image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    harbor.requests();
    let lines = Mutex::new(Vec::new());
    let log = |line: &str| lines.lock().unwrap().push(line.to_owned());
    let pushed = image.push_telling(harbor.reference("live/second:1"), &access(&live), &log).await.unwrap();
    let (requests, lines) = (harbor.requests(), lines.into_inner().unwrap());
    let mounts = |from: &str| requests.iter().any(|line| line.starts_with("POST") && line.ends_with(from));
    // The latest is asked first, and is none of this robot's.
    assert!(mounts("from=trade%2Forder") && mounts("from=live%2Ffirst"), "{requests:#?}");
    assert!(!requests.iter().any(|line| line.starts_with("PATCH")), "{requests:#?}");
    assert!(pushed.layers.iter().all(|layer| layer.reused), "{pushed:?}");
    assert!(lines.iter().any(|line| line.ends_with(": mounted from live/first")), "{lines:#?}");
}
