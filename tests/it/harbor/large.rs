//! Two gigabytes in 64 MiB, and how fast they go in and out of a bundle.

use std::fs;
use std::io::{Seek as _, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::builds::config;
use crate::support::harbor::Harbor;
use crate::support::slipway::Slipway;

/// The size of the layer.
const LAYER: u64 = 2 << 30;

/// What the program may have in memory at any time.
const MOST: u64 = 64 << 20;

/// What each image that is assembled may take beside that.
const EACH: u64 = 8 << 20;

/// Bytes that do not compress, made while they are read.
struct Noise {
    left: u64,
    seed: u64,
}

impl std::io::Read for Noise {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for piece in into[..count].chunks_mut(8) {
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 7;
            self.seed ^= self.seed << 17;
            piece.copy_from_slice(&self.seed.to_le_bytes()[..piece.len()]);
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Writes and hashes.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }

    fn digest(self) -> (W, String, u64) {
        (self.inner, format!("sha256:{}", hex::encode(self.hash.finalize())), self.size)
    }
}

/// Gives a registry an image whose only layer has so many bytes that do not compress.
async fn seeded(registry: &str, repository: &str, bytes: u64) {
    let file = tempfile::tempfile().unwrap();
    let (file, digest, size, diff_id) = tokio::task::spawn_blocking(move || layer(file, bytes)).await.unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["/noise"] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    })
    .to_string();
    let config_digest = format!("sha256:{}", hex::encode(Sha256::digest(&config)));
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len() },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size }],
    });
    let stream = tokio_util::io::ReaderStream::with_capacity(tokio::fs::File::from_std(file), 1 << 20);
    upload(registry, repository, &digest, reqwest::Body::wrap_stream(stream)).await;
    upload(registry, repository, &config_digest, config.into()).await;
    let put = reqwest::Client::new().put(format!("http://{registry}/v2/{repository}/manifests/1"));
    let put = put.header("content-type", kind).body(manifest.to_string()).send().await.unwrap();
    assert_eq!(put.status(), 201);
}

/// Writes a layer; gives its digest, its size, and the digest of what is packed in it.
fn layer(mut file: fs::File, bytes: u64) -> (fs::File, String, u64, String) {
    let packed = Hashed::new(std::io::BufWriter::with_capacity(1 << 20, file.try_clone().unwrap()));
    let plain = Hashed::new(flate2::write::GzEncoder::new(packed, flate2::Compression::none()));
    let mut archive = tar::Builder::new(std::io::BufWriter::with_capacity(1 << 20, plain));
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o644);
    let noise = Noise { left: bytes, seed: 0x2545_f491_4f6c_dd1d };
    archive.append_data(&mut header, "noise", std::io::BufReader::with_capacity(1 << 20, noise)).unwrap();
    let plain = archive.into_inner().unwrap().into_inner().map_err(|_| "flush").unwrap();
    let (encoder, diff_id, _) = plain.digest();
    let (mut writer, digest, size) = encoder.finish().unwrap().digest();
    writer.flush().unwrap();
    file.rewind().unwrap();
    (file, digest, size, diff_id)
}

async fn upload(registry: &str, repository: &str, digest: &str, body: reqwest::Body) {
    let http = reqwest::Client::new();
    let begun = http.post(format!("http://{registry}/v2/{repository}/blobs/uploads/")).send().await.unwrap();
    let sent = http.patch(begun.headers()["location"].to_str().unwrap()).body(body).send().await.unwrap();
    let mut location = url::Url::parse(sent.headers()["location"].to_str().unwrap()).unwrap();
    location.query_pairs_mut().append_pair("digest", digest);
    assert_eq!(http.put(location).send().await.unwrap().status(), 201);
}

/// A configuration for a registry that is no Harbor: nothing but the program and the registry takes time.
fn plain(registry: &str, cache: &Path) -> Slipway {
    let slipway = Slipway::new();
    slipway.replace_config(&format!(
        "[registry]\nhost = {registry:?}\nkind = \"plain\"\n[cache]\ndirectory = \"{}\"\n\
         [build]\nown_dockerfiles = true\nstart_check = {{ enabled = false }}\n",
        cache.display()
    ));
    slipway
}

/// Runs the program; gives the most memory that it held, and how long it took.
///
/// That is its own memory (`RssAnon` of `proc_pid_status(5)`, and its peak `VmHWM` without those of files): pages of the program's file, of which a debug build has
/// hundreds of megabytes, are the kernel's to drop.
async fn measured(slipway: &Slipway, line: &str) -> (u64, Duration) {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let mut process = slipway.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", process.id().unwrap());
    let (started, mut most, mut file, mut peak) = (Instant::now(), 0, 0, 0);
    let mut stderr = process.stderr.take().unwrap();
    let said = tokio::spawn(async move {
        let mut text = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut text).await.map(|_| text)
    });
    let ended = loop {
        if let Ok(ended) = tokio::time::timeout(Duration::from_millis(5), process.wait()).await {
            break ended.unwrap();
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) << 10
        };
        most = most.max(bytes("RssAnon:"));
        file = file.max(bytes("RssFile:"));
        peak = peak.max(bytes("VmHWM:"));
    };
    let took = started.elapsed();
    assert!(ended.success(), "{line}: {}", said.await.unwrap().unwrap());
    assert!(most > 0, "{line}: ended before it was looked at");
    eprintln!("{line}: {} MiB at most, with {} MiB of files {}; {took:.1?}", most >> 20, file >> 20, peak >> 20);
    // What the kernel saw at once, and a look every few milliseconds may have missed.
    (most.max(peak.saturating_sub(file)), took)
}

/// The time that `cp` takes, with everything on the disk at its end.
fn copied(from: &Path, to: &Path) -> Duration {
    let started = Instant::now();
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
    fs::File::open(to).unwrap().sync_all().unwrap();
    let took = started.elapsed();
    fs::remove_file(to).unwrap();
    took
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: two gigabytes, several times"]
async fn two_gigabytes_take_64_mebibytes() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("all.tar");
    let cache = directory.path().join("cache");
    let near = Harbor::start();
    seeded(near.behind(), "trade/noise", LAYER).await;
    let here = plain(near.behind(), &cache);

    let line = format!("bundle export trade/noise:1 --output {}", bundle.display());
    let (export, export_time) = measured(&here, &line).await;
    // No more than two of them lie on the disk at any time.
    drop(near);
    let copy = copied(&bundle, &directory.path().join("copy"));
    let far = Harbor::start();
    let there = plain(far.behind(), &cache);
    let (import, import_time) = measured(&there, &format!("bundle import {}", bundle.display())).await;
    fs::remove_file(&bundle).unwrap();

    // Built on it by the assembler: pulled and checked; the registry takes the layer from its neighbour.
    let source = directory.path().join("source");
    fs::create_dir_all(&source).unwrap();
    let dockerfile = format!("FROM {}/trade/noise:1\nCOPY Dockerfile /\n", far.behind());
    fs::write(source.join("Dockerfile"), dockerfile).unwrap();
    let build = format!(
        "build {} --push --image-backend assembler --product-line other --name noise --tag 1",
        source.display()
    );
    let (build, _) = measured(&there, &build).await;
    eprintln!("cp: {copy:.1?}; export {export_time:.1?}, import {import_time:.1?}");
    for (what, most) in [("export", export), ("import", import), ("build", build)] {
        assert!(most <= MOST, "{what}: {} MiB", most >> 20);
    }
}

/// A layer that no registry has: all of its bytes go through Harbor.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: two gigabytes are packed and pushed"]
async fn two_gigabytes_that_are_new_are_pushed_in_64_mebibytes() {
    let directory = tempfile::tempdir().unwrap();
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", &["repository:push"]);
    let more = format!(
        "[cache]\ndirectory = {:?}\n\
         [build]\nown_dockerfiles = true\nimage_backend = \"assembler\"\nstart_check = {{ enabled = false }}\n",
        directory.path().join("cache").display().to_string()
    );
    let slipway = config(&harbor, &robot, &more);
    let source = directory.path().join("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("Dockerfile"), "FROM scratch\nCOPY noise /\n").unwrap();
    let seed = uuid::Uuid::now_v7().as_u64_pair().1 | 1;
    let mut noise = std::io::BufReader::with_capacity(1 << 20, Noise { left: LAYER, seed });
    std::io::copy(&mut noise, &mut fs::File::create(source.join("noise")).unwrap()).unwrap();
    harbor.requests();
    let build = format!("build {} --push --product-line trade --name noise --tag 1", source.display());
    let (most, _) = measured(&slipway, &build).await;
    let received = harbor.state().received;
    let requests = harbor.requests();
    assert!(received >= LAYER, "{received} bytes came by `PATCH`: {requests:#?}");
    assert_eq!(requests.iter().filter(|line| line.starts_with("PATCH")).count(), 1, "{requests:#?}");
    assert!(!requests.iter().any(|line| line.contains("mount=")), "{requests:#?}");
    assert!(most <= MOST + EACH, "{} MiB", most >> 20);
}

/// 500 MB that were never seen before become one layer: half of it shrinks and half does not, in few files and in many.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: half a gigabyte is compressed and pushed"]
async fn half_a_gigabyte_is_assembled_in_64_mebibytes_and_8_for_the_build() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Harbor::start();
    let slipway = plain(registry.behind(), &directory.path().join("cache"));
    let source = directory.path().join("source");
    fs::create_dir_all(source.join("files/many")).unwrap();
    fs::write(source.join("Dockerfile"), "FROM scratch\nCOPY files /files\n").unwrap();
    let noise = |left, seed| std::io::BufReader::with_capacity(1 << 20, Noise { left, seed });
    let write = |path: &Path, reader: &mut dyn std::io::Read| {
        std::io::copy(reader, &mut fs::File::create(source.join("files").join(path)).unwrap()).unwrap()
    };
    let mut bytes = write(Path::new("noise"), &mut noise(250_000_000, 0x2545_f491_4f6c_dd1d));
    let text = "to be or not to be, that is the question\n".repeat(5_000_000);
    bytes += write(Path::new("text"), &mut text.as_bytes());
    drop(text);
    for index in 1..=5_000_u64 {
        bytes += write(Path::new(&format!("many/{index}")), &mut noise(10_000, index));
    }
    assert!(bytes >= 500_000_000, "{bytes}");
    let build =
        format!("build {} --push --image-backend assembler --product-line trade --name big --tag 1", source.display());
    let (most, _) = measured(&slipway, &build).await;
    assert!(most <= MOST + EACH, "{} MiB", most >> 20);
}
