//! Images by the real Docker Engine, pushed to a real registry with a login.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use slipway::image::credentials::Credentials;
use slipway::image::docker::DockerBackend;
use slipway::image::{BuildContext, BuildSpec, BuiltImage, ContextKind, ImageBackend, OwnedPath, RegistryAccess};
use slipway::model::failure::FailureCode;
use slipway::model::image_reference::ImageReference;
use tokio_util::sync::CancellationToken;

const DOCKERFILE: &str = "FROM scratch\nCOPY layer-dependencies/ /\nCOPY layer-application/ /\nCMD [\"/app/x\"]\n";

/// Its JSON has characters that differ between base64 and base64url.
const PASSWORD: &str = "se/c+r?et>>>";

/// Removes an image's tags when the test ends, however it ends.
struct Tags(Vec<String>);

impl Drop for Tags {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "--force"]).args(&self.0).output();
    }
}

/// Debian's `docker-registry` with one account, on a port of its own.
struct Registry {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Registry {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let accounts = Command::new("htpasswd").args(["-Bbn", "robot", PASSWORD]).output().unwrap();
        fs::write(directory.path().join("htpasswd"), accounts.stdout).unwrap();
        Self::serve(directory, free_port(), false)
    }

    /// The same contents on the same port, taking nothing more.
    fn into_read_only(mut self) -> Self {
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        let port = self.port;
        drop(self);
        Self::serve(directory, port, true)
    }

    fn serve(directory: tempfile::TempDir, port: u16, read_only: bool) -> Self {
        let at = directory.path().display();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {at}/data}}, maintenance: {{readonly: {{enabled: {read_only}}}}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\", secret: test}}\n\
             auth: {{htpasswd: {{realm: test, path: {at}/htpasswd}}}}\n"
        );
        fs::write(directory.path().join("config.yml"), config).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(directory.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { process, port, directory };
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    fn reference(&self, name: &str) -> ImageReference {
        format!("127.0.0.1:{}/{name}", self.port).parse().unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn access(password: &str) -> RegistryAccess {
    RegistryAccess { credentials: Some(Credentials::password("robot", password)), ..Default::default() }
}

fn context(directory: &Path, application: &str) -> BuildContext {
    for (path, text) in [("layer-dependencies/app/lib/a.jar", "library"), ("layer-application/app/data/x", application)]
    {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let owned = vec![OwnedPath { path: "/app/data".into(), uid: 10001, gid: 10001 }];
    BuildContext { root: directory.to_owned(), kind: ContextKind::Generated { owned } }
}

/// A text that no other run uses, so that nothing of it is cached.
fn unique() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

async fn build(spec: &BuildSpec) -> BuiltImage {
    DockerBackend::default().build(spec, &|_| {}, &CancellationToken::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_keep_their_digests_when_built_again_elsewhere() {
    let text = unique();
    let reference: ImageReference = format!("localhost/slipway-test/{text}:1").parse().unwrap();
    let _tags = Tags(vec![reference.to_string()]);
    let mut images = Vec::new();
    for _ in 0..2 {
        let directory = tempfile::tempdir().unwrap();
        let mut spec = BuildSpec::new(context(directory.path(), &text), DOCKERFILE);
        spec.no_cache = true;
        spec.references.push(reference.clone());
        let lines = Mutex::new(Vec::new());
        let sink = |line: &str| lines.lock().unwrap().push(line.to_owned());
        images.push(DockerBackend::default().build(&spec, &sink, &CancellationToken::new()).await.unwrap());
        let lines = lines.into_inner().unwrap();
        assert!(lines.iter().any(|line| line.contains("COPY layer-application/")), "{lines:?}");
    }
    let _images = Tags(images.iter().map(|image| image.id.to_string()).collect());
    assert_eq!(images[0].layers.len(), 2);
    assert_eq!(images[0].layers, images[1].layers);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pushed_confirmed_and_refused() {
    let registry = Registry::start();
    let directory = tempfile::tempdir().unwrap();
    let text = unique();
    let references = [registry.reference("trade/order:1.0"), registry.reference("trade/order:latest")];
    let _tags = Tags(references.iter().map(ToString::to_string).collect());
    let mut spec = BuildSpec::new(context(directory.path(), &text), DOCKERFILE);
    spec.references = references.to_vec();
    let image = build(&spec).await;
    let _image = Tags(vec![image.id.to_string()]);
    let backend = DockerBackend::default();
    let cancel = CancellationToken::new();

    let wrong = backend.push(&image, &references, &access("wrong"), &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(wrong.code, FailureCode::RegistryUnauthorized, "{wrong}");
    assert!(!wrong.retryable);

    let published = backend.push(&image, &references, &access(PASSWORD), &|_| {}, &cancel).await.unwrap();
    assert_eq!(published.references, references);
    assert_eq!(published.layers.len(), 2);
    assert!(published.layers.iter().all(|layer| !layer.reused && layer.size > 0), "{published:?}");
    assert!(published.size > published.layers.iter().map(|layer| layer.size).sum());

    // The application changes: the dependencies' layer is there already.
    context(directory.path(), &unique());
    let image = build(&spec).await;
    let again = backend.push(&image, &references, &access(PASSWORD), &|_| {}, &cancel).await.unwrap();
    assert_ne!(again.digest, published.digest);
    assert_eq!(again.layers.iter().map(|layer| layer.reused).collect::<Vec<_>>(), [true, false]);
    assert_eq!(again.layers[0].digest, published.layers[0].digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_image_is_pulled_with_the_credentials_of_its_registry() {
    let registry = Registry::start();
    let directory = tempfile::tempdir().unwrap();
    let base = registry.reference("base/jre:8");
    let _tags = Tags(vec![base.to_string()]);
    let backend = DockerBackend::default();
    let cancel = CancellationToken::new();
    let mut spec = BuildSpec::new(context(directory.path(), &unique()), format!("FROM {base}\n"));
    spec.base_images.push(base.to_string());

    let failure = backend.build(&spec, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BaseImageMissing, "{failure}");
    spec.credentials.insert(base.registry().to_owned(), Credentials::password("robot", PASSWORD));
    let failure = backend.build(&spec, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BaseImageMissing, "{failure}");

    let image = build(&BuildSpec::new(context(directory.path(), &unique()), DOCKERFILE)).await;
    let _image = Tags(vec![image.id.to_string()]);
    backend.push(&image, std::slice::from_ref(&base), &access(PASSWORD), &|_| {}, &cancel).await.unwrap();
    let _ = Command::new("docker").args(["image", "rm", "--force", &base.to_string()]).output().unwrap();
    let built = backend.build(&spec, &|_| {}, &cancel).await.unwrap();
    assert_eq!(built.layers, image.layers);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_refuses_but_already_has_is_published() {
    let registry = Registry::start();
    let directory = tempfile::tempdir().unwrap();
    let reference = registry.reference("trade/order:1");
    let references = std::slice::from_ref(&reference);
    let _tags = Tags(vec![reference.to_string()]);
    let image = build(&BuildSpec::new(context(directory.path(), &unique()), DOCKERFILE)).await;
    let _image = Tags(vec![image.id.to_string()]);
    let (backend, cancel) = (DockerBackend::default(), CancellationToken::new());
    let published = backend.push(&image, references, &access(PASSWORD), &|_| {}, &cancel).await.unwrap();

    let _registry = registry.into_read_only();
    let again = backend.push(&image, references, &access(PASSWORD), &|_| {}, &cancel).await.unwrap();
    assert_eq!(again.digest, published.digest);
    assert!(again.layers.iter().all(|layer| layer.reused));

    let other = build(&BuildSpec::new(context(directory.path(), &unique()), DOCKERFILE)).await;
    let _other = Tags(vec![other.id.to_string()]);
    let failure = backend.push(&other, references, &access(PASSWORD), &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::RegistryRefused, "{failure}");
    assert!(!failure.retryable);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_registry_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let reference: ImageReference = format!("127.0.0.1:{}/trade/order:1", free_port()).parse().unwrap();
    let _tags = Tags(vec![reference.to_string()]);
    let image = build(&BuildSpec::new(context(directory.path(), &unique()), DOCKERFILE)).await;
    let _image = Tags(vec![image.id.to_string()]);
    let lines = Mutex::new(Vec::new());
    let sink = |line: &str| lines.lock().unwrap().push(line.to_owned());
    let failure = DockerBackend::default()
        .push(&image, std::slice::from_ref(&reference), &access("x"), &sink, &CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(failure.code, FailureCode::RegistryUnavailable, "{failure}");
    let tried_again = lines.lock().unwrap().iter().filter(|line| line.contains("Trying again")).count();
    assert_eq!(tried_again, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_project_are_the_project_s() {
    let directory = tempfile::tempdir().unwrap();
    let backend = DockerBackend::default();
    let cancel = CancellationToken::new();
    let mut spec = BuildSpec::new(context(directory.path(), &unique()), "FROM scratch\nCOPY nothing/ /\n");
    let failure = backend.build(&spec, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ImageFailed, "{failure}");
    assert!(failure.message.contains("nothing"), "{failure}");

    "NONSENSE\n".clone_into(&mut spec.dockerfile);
    let failure = backend.build(&spec, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ImageFailed, "{failure}");

    let base = format!("127.0.0.1:{}/none/none:1", free_port());
    spec.dockerfile = format!("FROM {base}\n");
    spec.base_images = vec![base.clone()];
    let failure = backend.build(&spec, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::RegistryUnavailable, "{failure}");
    assert!(failure.message.contains(&base), "{failure}");

    let pipe = directory.path().join("layer-application/app/pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    DOCKERFILE.clone_into(&mut spec.dockerfile);
    spec.base_images.clear();
    let failure = backend.build(&spec, &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ArtifactInvalid, "{failure}");
    assert!(failure.message.contains("named pipe"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_leaves_no_image() {
    let directory = tempfile::tempdir().unwrap();
    let reference: ImageReference = format!("localhost/slipway-test/{}:1", unique()).parse().unwrap();
    let _tags = Tags(vec![reference.to_string()]);
    let mut context = context(directory.path(), &unique());
    context.kind = ContextKind::Repository { dockerfile: "Dockerfile".into() };
    // Enough to copy that the build is still at it when its first line has come.
    fs::File::create(directory.path().join("large")).unwrap().set_len(512 << 20).unwrap();
    let mut spec = BuildSpec::new(context, "FROM scratch\nCOPY large /\nCOPY large /again\n");
    spec.references.push(reference.clone());
    let cancel = CancellationToken::new();
    let sink = |_: &str| cancel.cancel();
    let failure = DockerBackend::default().build(&spec, &sink, &cancel).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Cancelled);
    let inspect = Command::new("docker").args(["image", "inspect", &reference.to_string()]).output().unwrap();
    assert!(!inspect.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_archive_loads() {
    let directory = tempfile::tempdir().unwrap();
    let reference: ImageReference = format!("localhost/slipway-test/{}:saved", unique()).parse().unwrap();
    let _tags = Tags(vec![reference.to_string()]);
    let image = build(&BuildSpec::new(context(directory.path(), &unique()), DOCKERFILE)).await;
    let _image = Tags(vec![image.id.to_string()]);
    let archive = directory.path().join("image.tar");
    let backend = DockerBackend::default();
    let cancel = CancellationToken::new();
    backend.save(&image, std::slice::from_ref(&reference), &archive, &cancel).await.unwrap();
    let remove = Command::new("docker").args(["image", "rm", "--force", &reference.to_string()]).output().unwrap();
    assert!(remove.status.success());
    let load = Command::new("docker").args(["load", "--input"]).arg(&archive).output().unwrap();
    assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
    let inspect =
        Command::new("docker").args(["image", "inspect", "--format", "{{.Id}}", &reference.to_string()]).output();
    assert_eq!(String::from_utf8_lossy(&inspect.unwrap().stdout).trim(), image.id.as_str());

    let nowhere = directory.path().join("no/such/image.tar");
    let failure = backend.save(&image, &[], &nowhere, &cancel).await.unwrap_err();
    assert!(failure.message.contains("no/such/image.tar"), "{failure}");
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".slipway-save-")), "{left:?}");
}

#[tokio::test]
async fn an_absent_engine_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let backend = DockerBackend::new(Some(format!("unix://{}/none.sock", directory.path().display())));
    let spec = BuildSpec::new(context(directory.path(), "x"), DOCKERFILE);
    let failure = backend.build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::EngineUnavailable);
    assert!(failure.retryable);
}

/// An Engine that dies while it builds: it answers what comes before, then breaks off.
#[tokio::test]
async fn an_engine_that_dies_is_the_service_s_fault() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(dying_engine(stream));
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let spec = BuildSpec::new(context(directory.path(), "x"), DOCKERFILE);
    let build = DockerBackend::new(Some(host));
    let failure = build.build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::EngineUnavailable, "{failure}");
    assert!(failure.retryable, "{failure}");
}

async fn dying_engine(stream: tokio::net::TcpStream) {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await.unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let body = match first.split_whitespace().nth(1).unwrap_or_default() {
        path if path.contains("/version") => "{\"ApiVersion\":\"1.41\"}",
        path if path.contains("/_ping") => "OK",
        path if path.contains("/build") => {
            let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n";
            let _ = stream.write_all(begun.as_bytes()).await;
            return;
        }
        _ => return,
    };
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}
