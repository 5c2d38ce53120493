//! Registries that lie, break off or talk nonsense: a clear failure each time, nothing wrong in the cache, nothing
//! pushed half.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use slipway::image::assembler::{AssemblerBackend, Cache};
use slipway::image::{BuildContext, BuildSpec, ContextKind, ImageBackend as _, RegistryAccess};
use slipway::model::failure::{Failure, FailureCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What a registry does with a request.
pub(super) enum Answer {
    /// Status, header lines, body.
    Full(u16, String, Vec<u8>),
    /// The same, but it says that so many bytes more follow.
    Cut(Vec<u8>, usize),
    /// Ends the connection without a word.
    Reset,
}

/// How a registry answers requests.
type Answering = Box<dyn Fn(&str) -> Answer + Send + Sync>;

/// A registry that answers as it is told, and notes what it was asked.
struct Registry {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, noted) = (Arc::new(answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                tokio::spawn(async move {
                    if let Some(request) = request(&mut client).await {
                        noted.lock().unwrap().push(request.clone());
                        let _ = reply(&mut client, answer(&request)).await;
                    }
                });
            }
        });
        Self { address, asked }
    }
}

/// `METHOD PATH` of a request, whose body is not waited for.
pub(super) async fn request(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = client.read_buf(&mut head).await.ok()?;
        if read == 0 {
            return None;
        }
    }
    let line = String::from_utf8_lossy(&head).lines().next()?.to_owned();
    Some(line.rsplit_once(' ')?.0.to_owned())
}

pub(super) async fn reply(client: &mut TcpStream, answer: Answer) -> std::io::Result<()> {
    let (status, headers, body, more) = match answer {
        Answer::Full(status, headers, body) => (status, headers, body, 0),
        Answer::Cut(body, more) => (200, String::new(), body, more),
        Answer::Reset => return Ok(()),
    };
    let length = body.len() + more;
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    client.write_all(head.as_bytes()).await?;
    client.write_all(&body).await?;
    client.shutdown().await
}

fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer::Full(200, String::new(), body.into())
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// An image of one layer.
#[derive(Clone)]
pub(super) struct Image {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Value,
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, bytes).unwrap();
    gzip.finish().unwrap()
}

impl Image {
    fn new(tar: &[u8]) -> Self {
        Self::of(gzip(tar), &digest(tar), "amd64")
    }

    fn of(layer: Vec<u8>, diff_id: &str, architecture: &str) -> Self {
        let config = json!({ "os": "linux", "architecture": architecture, "config": {},
            "rootfs": { "type": "layers", "diff_ids": [diff_id] } });
        let config = config.to_string().into_bytes();
        let manifest = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len() },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(&layer), "size": layer.len() }] });
        Self { layer, config, manifest }
    }

    /// What an honest registry answers.
    pub(super) fn answer(&self, request: &str) -> Answer {
        let path = request.rsplit('/').next().unwrap_or_default();
        if request.contains("/manifests/") {
            ok(self.manifest.to_string())
        } else if path == digest(&self.layer) {
            ok(self.layer.clone())
        } else if path == digest(&self.config) {
            ok(self.config.clone())
        } else {
            Answer::Full(404, String::new(), Vec::new())
        }
    }
}

pub(super) fn small() -> Image {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    archive.append_data(&mut header, "file", &b"base"[..]).unwrap();
    Image::new(&archive.into_inner().unwrap())
}

/// A few kilobytes that hold a name of a gigabyte.
fn bomb() -> Image {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.resize(4 << 20, b'a');
    Image::new(&tar)
}

pub(super) fn spec(directory: &Path, from: &str) -> BuildSpec {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("plain"), "plain").unwrap();
    let kind = ContextKind::Repository { dockerfile: "Dockerfile".into() };
    BuildSpec::new(BuildContext { root: directory.to_owned(), kind }, format!("FROM {from}\nCOPY plain /\n"))
}

/// Builds on an image of this registry, which must fail; then the cache is looked at.
async fn refused(name: &str, rest: &str, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Failure {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::start(answer).await;
    let store = directory.path().join("images");
    let spec = spec(&directory.path().join("context"), &format!("{}/base/image{rest}", registry.address));
    let backend = AssemblerBackend::new(store.clone(), None);
    let built = backend.build(&spec, &|_| {}, &CancellationToken::new()).await;
    let failure = built.expect_err(name);
    assert_eq!(failure.places[0].line, Some(1), "{name}: {failure}");
    assert!(Cache::new(store.clone()).verify().unwrap().is_empty(), "{name}");
    assert!(!store.join("recipes").exists() && !store.join("trees").exists(), "{name}");
    failure
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_is_not_what_it_says_is_refused() {
    let image = small();
    let other = format!("@{}", digest(b"another"));
    let with = |change: &dyn Fn(&mut Image)| {
        let mut image = image.clone();
        change(&mut image);
        image
    };
    let strange = with(&|image| image.manifest["layers"][0]["mediaType"] = json!("application/x-strange"));
    let longer = with(&|image| image.manifest["layers"][0]["size"] = json!(image.layer.len() - 1));
    let sha512 = with(&|image| image.manifest["layers"][0]["digest"] = json!("sha512:00"));
    let climbing = with(&|image| image.manifest["config"]["digest"] = json!("sha256:../../../etc/passwd"));
    let cut = Image::of(image.layer[..image.layer.len() - 9].to_vec(), &digest(b""), "amd64");
    let lying = Image::of(image.layer.clone(), &digest(b"another"), "amd64");
    let elsewhere = Image::of(image.layer.clone(), &digest(b""), "s390x");
    let mut without = image.clone();
    without.manifest = json!({ "schemaVersion": 2, "manifests": [{ "digest": digest(b""), "size": 1,
        "platform": { "os": "linux", "architecture": "s390x" } }] });
    let mut nested = image.clone();
    nested.manifest = json!({ "schemaVersion": 2, "manifests": [{ "digest": "sha256:zz", "size": 1,
        "platform": { "os": "linux", "architecture": "amd64" } }] });
    let changed = image.clone();
    let html = || ok("<html>Welcome to our wonderful registry</html>");
    let long = || Answer::Full(200, String::new(), vec![b' '; 100 << 20]);
    let away = || Answer::Full(307, "Location: /v2/round/\r\n".into(), Vec::new());
    let honest = |image: Image| -> Answering { Box::new(move |request: &str| image.answer(request)) };
    let cases: Vec<(&str, &str, Answering, FailureCode)> = vec![
        ("is no JSON", ":1", Box::new(move |_| html()), FailureCode::ImageFailed),
        ("gave the manifest `sha256:", &other, honest(image.clone()), FailureCode::ImageFailed),
        ("more than 4 MiB", ":1", Box::new(move |_| long()), FailureCode::ImageFailed),
        ("of the kind `application/x-strange`", ":1", honest(strange), FailureCode::ImageFailed),
        ("has more than its", ":1", honest(longer), FailureCode::ImageFailed),
        ("a manifest that is none", ":1", honest(sha512), FailureCode::ImageFailed),
        ("a manifest that is none", ":1", honest(climbing), FailureCode::ImageFailed),
        ("cannot be unpacked", ":1", honest(cut), FailureCode::ImageFailed),
        ("cannot be unpacked", ":1", honest(bomb()), FailureCode::ImageFailed),
        ("as its configuration says", ":1", honest(lying), FailureCode::DigestMismatch),
        ("is for linux/s390x", ":1", honest(elsewhere), FailureCode::BaseImageMissing),
        ("has no image for linux/amd64", ":1", honest(without), FailureCode::BaseImageMissing),
        ("has an index that is none", ":1", honest(nested), FailureCode::ImageFailed),
        ("sends elsewhere more than", ":1", Box::new(move |_| away()), FailureCode::ImageFailed),
        (
            "the registry gave",
            ":1",
            Box::new(move |request| {
                // As long as it should be, and something else.
                if request.ends_with(&digest(&changed.layer)) {
                    ok(vec![7; changed.layer.len()])
                } else {
                    changed.answer(request)
                }
            }),
            FailureCode::ImageFailed,
        ),
    ];
    for (says, rest, answer, code) in cases {
        let failure = refused(says, rest, answer).await;
        assert_eq!(failure.code, code, "{says}: {failure}");
        assert!(failure.message.contains(says), "{says}: {failure}");
        assert!(failure.message.len() < 600, "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_breaks_off_is_an_outage() {
    let image = small();
    let reset = refused("reset", ":1", |_| Answer::Reset);
    let cut = refused("cut", ":1", move |request| {
        if request.contains("/blobs/") { Answer::Cut(image.layer[..5].to_vec(), 100) } else { image.answer(request) }
    });
    let busy = refused("busy", ":1", |_| Answer::Full(503, "Retry-After: 0\r\n".into(), Vec::new()));
    let (reset, cut, busy) = tokio::join!(reset, cut, busy);
    for failure in [reset, cut, busy] {
        assert_eq!((failure.code, failure.retryable), (FailureCode::RegistryUnavailable, true), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_pushed_whole_has_no_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let backend = AssemblerBackend::new(directory.path().join("images"), None);
    let cancel = CancellationToken::new();
    let spec = spec(&directory.path().join("context"), "scratch");
    let built = backend.build(&spec, &|_| {}, &cancel).await.unwrap();
    let begun = || Answer::Full(202, "Location: /v2/push/image/blobs/uploads/1\r\n".into(), Vec::new());
    let broken = Registry::start(move |request| match request.split(' ').next() {
        Some("HEAD") => Answer::Full(404, String::new(), Vec::new()),
        Some("POST") => begun(),
        _ => Answer::Reset,
    })
    .await;
    let reference = |registry: &Registry| vec![format!("{}/push/image:1", registry.address).parse().unwrap()];
    let access = RegistryAccess::default();
    let failure = backend.push(&built, &reference(&broken), &access, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::RegistryUnavailable, "{failure}");
    let asked = broken.asked.lock().unwrap().clone();
    assert!(
        asked.iter().any(|request| request.starts_with("PUT ") && request.contains("/blobs/uploads/")),
        "{asked:?}"
    );
    assert!(!asked.iter().any(|request| request.starts_with("PUT ") && request.contains("/manifests/")), "{asked:?}");

    // It takes everything, and then shows another image.
    let other = small();
    let lying = Registry::start(move |request| match request.split(' ').next() {
        Some("HEAD") if request.contains("/blobs/") => ok(""),
        Some("PUT") => Answer::Full(201, String::new(), Vec::new()),
        _ => {
            let manifest = other.manifest.to_string();
            Answer::Full(
                200,
                format!(
                    "Docker-Content-Digest: {}\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n",
                    digest(manifest.as_bytes())
                ),
                if request.starts_with("HEAD") { Vec::new() } else { manifest.into_bytes() },
            )
        }
    })
    .await;
    let failure = backend.push(&built, &reference(&lying), &access, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::DigestMismatch, "{failure}");
}

/// Storage that is asked directly answers `HEAD` by sending elsewhere; a registry that cleaned up refuses a manifest for
/// what it names, in words of its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_has_elsewhere_is_there_and_what_it_lost_is_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let backend = AssemblerBackend::new(directory.path().join("images"), None);
    let cancel = CancellationToken::new();
    let spec = spec(&directory.path().join("context"), "scratch");
    let built = backend.build(&spec, &|_| {}, &cancel).await.unwrap();
    let blobs = std::fs::read_dir(directory.path().join("images/blobs/sha256")).unwrap();
    let manifest = blobs
        .map(|blob| std::fs::read(blob.unwrap().path()).unwrap())
        .find(|bytes| serde_json::from_slice::<Value>(bytes).is_ok_and(|value| value["layers"].is_array()));
    let manifest = digest(&manifest.unwrap());
    // What was there is gone, until somebody asks for it.
    let gone = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (lost, order) = (Arc::clone(&gone), std::sync::atomic::Ordering::SeqCst);
    let registry = Registry::start(move |request| match request.split(' ').next() {
        Some("HEAD") if request.contains("/blobs/") => {
            lost.store(false, order);
            Answer::Full(307, "Location: http://storage.example/bucket\r\n".into(), Vec::new())
        }
        Some("HEAD" | "GET") => Answer::Full(404, String::new(), Vec::new()),
        Some("PUT") if lost.load(order) => {
            let words = json!({ "errors": [{ "code": "MANIFEST_INVALID", "message": "no such layer" }] });
            Answer::Full(400, String::new(), words.to_string().into_bytes())
        }
        Some("PUT") => Answer::Full(201, format!("Docker-Content-Digest: {manifest}\r\n"), Vec::new()),
        _ => Answer::Reset,
    })
    .await;
    let access = RegistryAccess::default();
    for tag in ["1", "2"] {
        let reference = format!("{}/push/image:{tag}", registry.address).parse().unwrap();
        let pushed = backend.push(&built, &[reference], &access, &|_| {}, &cancel).await;
        assert!(pushed.is_ok_and(|image| image.layers.iter().all(|layer| layer.reused)), "{tag}");
        gone.store(true, order);
    }
    let asked = registry.asked.lock().unwrap().clone();
    let refused = asked.iter().filter(|request| request.starts_with("PUT ")).count();
    assert_eq!(refused, 3, "the second push was refused once: {asked:?}");
    assert!(asked.iter().all(|request| !request.starts_with("POST")), "{asked:?}");
}
