//! Blobs that Slipway's own assembler sends before the push.

use std::time::Duration;

use slipway::image::assembler::AssemblerBackend;
use slipway::image::{
    BuildContext, BuildSpec, BuiltImage, ContextKind, Destination, ImageBackend as _, PublishedImage,
};
use slipway::model::image_reference::ImageReference;
use tokio_util::sync::CancellationToken;

use super::cases::hold;
use crate::support::harbor::{Harbor, access};
use crate::support::probe;

/// Above this a layer is sent while it is compressed.
const LARGE: usize = 9 << 20;

/// One worker: its cache, and what it builds.
struct Worker {
    backend: AssemblerBackend,
    directory: tempfile::TempDir,
}

impl Worker {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { backend: AssemblerBackend::new(directory.path().join("store"), None), directory }
    }

    /// Builds an image with this layer, on its way to a place.
    async fn build(&self, layer: &[u8], destination: Destination) -> BuiltImage {
        let context = self.directory.path().join("context");
        let place = context.join("layer-application/app");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("x"), layer).unwrap();
        let context = BuildContext { root: context, kind: ContextKind::Generated { owned: Vec::new() } };
        let mut spec = BuildSpec::new(context, "FROM scratch\nCOPY layer-application/ /\nCMD [\"/app/x\"]\n");
        spec.destination = Some(destination);
        Box::pin(self.backend.build(&spec, &|_| {}, &CancellationToken::new())).await.unwrap()
    }

    async fn push(&self, image: &BuiltImage, to: &Destination) -> PublishedImage {
        let references = [to.reference.clone()];
        Box::pin(self.backend.push(image, &references, &to.access, &|_| {}, &CancellationToken::new())).await.unwrap()
    }
}

/// Bytes that do not shrink and that no other test has.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = u64::from_le_bytes(uuid::Uuid::now_v7().as_bytes()[8..].try_into().unwrap()) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        bytes.extend(seed.to_le_bytes());
    }
    bytes
}

fn harbor() -> (Harbor, Destination) {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "ci", &["repository:push", "repository:pull"]);
    let destination = Destination { reference: harbor.reference("trade/order:1"), access: access(&robot) };
    (harbor, destination)
}

fn tagged(destination: &Destination, tag: &str) -> Destination {
    let reference: ImageReference = format!("{}:{tag}", destination.reference.name()).parse().unwrap();
    Destination { reference, ..destination.clone() }
}

/// Waits until a layer's upload and the configuration's have ended.
async fn uploaded(harbor: &Harbor) -> Vec<String> {
    let mut seen = Vec::new();
    let look = || {
        seen.extend(harbor.requests());
        let ended = count(&seen, "PUT") > 1;
        let found = if ended { Ok(seen.clone()) } else { Err(format!("the uploads have not ended: {seen:#?}")) };
        async move { found }
    };
    probe::until(Duration::from_secs(30), look, || async { true }).await.unwrap()
}

fn count(requests: &[String], start: &str) -> usize {
    requests.iter().filter(|line| line.starts_with(start) && line.contains("/blobs/uploads/")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_there_before_the_push() {
    let (harbor, destination) = harbor();
    let worker = Worker::new();
    // To a repository that is not there yet, and to one that this worker knows.
    for tag in ["1", "2"] {
        let destination = tagged(&destination, tag);
        let image = worker.build(&noise(LARGE), destination.clone()).await;
        let before = uploaded(&harbor).await;
        let asked = before.iter().filter(|line| line.starts_with("HEAD") && line.contains("/blobs/")).count();
        assert_eq!((count(&before, "PATCH"), count(&before, "PUT"), asked), (1, 2, 0), "{before:#?}");
        let published = worker.push(&image, &destination).await;
        assert!(!published.layers[0].reused);
        let after = harbor.requests();
        assert_eq!((count(&after, "PATCH"), count(&after, "PUT")), (0, 0), "{after:#?}");
    }
    // A smaller one goes when it is made.
    let destination = tagged(&destination, "3");
    let image = worker.build(&noise(100), destination.clone()).await;
    let before = uploaded(&harbor).await;
    let asked = before.iter().filter(|line| line.starts_with("HEAD") && line.contains("/blobs/")).count();
    assert_eq!((count(&before, "PATCH"), count(&before, "PUT"), asked), (0, 2, 0), "{before:#?}");
    assert!(!worker.push(&image, &destination).await.layers[0].reused);
}

/// Two builds want the same new layer, over a line that takes its time: the second waits for what the first sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_two_builds_want_is_sent_once() {
    let ((harbor, destination), (quick, elsewhere)) = (harbor(), harbor());
    let (worker, layer) = (Worker::new(), noise(LARGE));
    let (reached, release) = hold(&harbor, &["PATCH"]);
    let first = worker.build(&layer, destination.clone()).await;
    reached.await.unwrap();
    let second = tagged(&destination, "2");
    let again = worker.build(&layer, second.clone()).await;
    // Meanwhile another registry gets an image of its own.
    let other = Worker::new();
    let image = other.build(&noise(LARGE), elsewhere.clone()).await;
    uploaded(&quick).await;
    release.send(()).unwrap();
    for (image, to) in [(&first, &destination), (&again, &second)] {
        worker.push(image, to).await;
    }
    drop(image);
    let requests = harbor.requests();
    assert_eq!(count(&requests, "PATCH"), 1, "{requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_login_and_one_look_at_the_tag_serve_build_and_push() {
    let (harbor, destination) = harbor();
    let worker = Worker::new();
    let layer = noise(100);
    let count = |requests: &[String], part: &str| requests.iter().filter(|line| line.contains(part)).count();
    // A tag that is new, and the same image once more.
    for (puts, was_there) in [(1, false), (0, true)] {
        let image = worker.build(&layer, destination.clone()).await;
        assert_eq!(worker.push(&image, &destination).await.was_there(), was_there);
        let all = harbor.requests();
        assert_eq!(count(&all, "/service/token"), 1, "{all:#?}");
        // The first one is refused, and tells where tokens are given.
        assert_eq!(
            (count(&all, "HEAD /v2/trade/order/manifests/1"), count(&all, "PUT /v2/trade/order/manifests/1")),
            (2, puts),
            "{all:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_that_another_worker_has_pushed() {
    let (harbor, destination) = harbor();
    let layer = noise(LARGE);
    let (first, second) = (Worker::new(), Worker::new());
    let image = first.build(&layer, destination.clone()).await;
    first.push(&image, &destination).await;
    harbor.requests();
    let destination = tagged(&destination, "2");
    let image = second.build(&layer, destination.clone()).await;
    assert!(second.push(&image, &destination).await.was_there());
    assert_eq!(count(&harbor.requests(), "P"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_refuses_ahead_is_sent_by_the_push() {
    let (harbor, destination) = harbor();
    let worker = Worker::new();
    harbor.state().read_only = true;
    let image = worker.build(&noise(LARGE), destination.clone()).await;
    harbor.state().read_only = false;
    let published = worker.push(&image, &destination).await;
    assert!(!published.layers[0].reused);
}

/// What an image that is given up had on its way goes no further: a registry that never answers is let go of.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_given_up_takes_its_uploads_along() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reference = format!("{}/trade/order:1", listener.local_addr().unwrap()).parse().unwrap();
    let destination = Destination { reference, access: access(&("a".into(), "b".into())) };
    let worker = Worker::new();
    let image = worker.build(&noise(LARGE), destination).await;
    let (mut asked, _) = listener.accept().await.unwrap();
    drop(image);
    let mut all = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut asked, &mut all).await.unwrap();
}
