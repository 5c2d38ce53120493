//! Sources through the whole program: private repositories, odd ones, large ones.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use crate::services::service;
use crate::support::repository::{Published, host_of};
use crate::support::slipway::{PRODUCT_LINE, Run, Slipway};

/// An application that takes no time to build.
const PREBUILT: &[(&str, &str)] = &[
    ("slipway.toml", "[image]\nbase = \"debian\"\n[runtime]\ncommand = [\"sh\", \"/app/run.sh\"]\n"),
    ("output/run.sh", "#!/bin/sh\necho ready\n"),
];

/// The program with credentials `git` for a service: what they hold, as TOML.
fn with_credentials(secrets: &str, base: &str, product_line: &str) -> Slipway {
    let host = host_of(base);
    let value = format!("{{ {secrets}, hosts = [{host:?}], product_lines = [{product_line:?}] }}");
    Slipway::new().env("SLIPWAY__CREDENTIALS__GIT", &value)
}

fn password(directory: &tempfile::TempDir, password: &str) -> String {
    let file = directory.path().join(password);
    std::fs::write(&file, password).unwrap();
    let file = file.display().to_string();
    format!("username = {:?}, password = {{ file = {file:?} }}", service("SLIPWAY_TEST_USER"))
}

fn key(name: &str) -> String {
    let keys = service("SLIPWAY_TEST_GIT_SSH_KEYS");
    format!("ssh_key = {{ file = \"{keys}/{name}\" }}, known_hosts = \"{keys}/known_hosts\"")
}

async fn build(slipway: &Slipway, url: &str, args: &[&str]) -> Run {
    slipway.build(Path::new(url), &args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).await
}

/// The image's name, removed with the value.
struct Image(String);

impl Image {
    fn of(run: &Run) -> Self {
        assert_eq!(run.code, 0, "{}", run.text());
        Self(run.report["image"]["references"][0].as_str().unwrap().to_owned())
    }

    /// What a command in a container of it prints.
    fn prints(&self, command: &[&str]) -> Vec<u8> {
        let start = ["run", "--rm", "--entrypoint", command[0], &self.0];
        let output = Command::new("docker").args(start).args(&command[1..]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "--force", &self.0]).output();
    }
}

#[tokio::test]
async fn a_partial_clone_is_built_without_what_its_history_lacks() {
    let project = crate::support::project::Project::new("partial", PREBUILT);
    project.commit();
    let directory = tempfile::tempdir().unwrap();
    let clone = directory.path().join("clone");
    let git = |directory: &Path, arguments: &[&str]| {
        let output = Command::new("git").current_dir(directory).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let origin = project.path();
    std::fs::write(origin.join("output/run.sh"), "#!/bin/sh\necho later\n").unwrap();
    project.commit();
    git(&origin, &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", origin.display());
    git(directory.path(), &["clone", "--quiet", "--filter=blob:none", &url, clone.to_str().unwrap()]);
    let missing = git(&clone, &["rev-list", "--objects", "--all", "--missing=print"]);
    assert!(missing.lines().any(|line| line.starts_with('?')), "the clone lacks nothing: {missing}");
    // Who has the rest is gone.
    git(&clone, &["remote", "remove", "origin"]);
    let image = Image::of(&build(&Slipway::new(), clone.to_str().unwrap(), &["--name", "partial"]).await);
    assert_eq!(image.prints(&["sh", "/app/run.sh"]), b"later\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_repository_is_built_with_the_credentials_that_are_named() {
    let secrets = tempfile::tempdir().unwrap();
    let repository = Published::new("private", PREBUILT);
    let url = repository.url("SLIPWAY_TEST_GIT_PRIVATE");
    let base = "SLIPWAY_TEST_GIT_PRIVATE";
    let secret = service("SLIPWAY_TEST_PASSWORD");
    let right = with_credentials(&password(&secrets, secret), base, PRODUCT_LINE);
    let run = build(&right, &url, &["--credentials", "git"]).await;
    let _image = Image::of(&run);
    assert_eq!(run.report["source"]["commit"], repository.git(&["rev-parse", "HEAD"]));
    assert_eq!(run.report["source"]["url"], url);
    assert!(!run.text().contains(secret), "{}", run.text());

    // The mirror is warm now, and of use to nobody who may not read.
    let wrong = with_credentials(&password(&secrets, "not-the-password"), base, PRODUCT_LINE);
    let elsewhere = with_credentials(&password(&secrets, secret), "SLIPWAY_TEST_GIT_TLS", PRODUCT_LINE);
    let others = with_credentials(&password(&secrets, secret), base, "others");
    for (slipway, args, code, exit, says) in [
        (&wrong, &["--credentials", "git"][..], "source_unauthorized", 1, "refused those given"),
        (&right, &[], "source_unauthorized", 1, "asks for credentials"),
        (&right, &["--credentials", "gti"], "configuration_invalid", 2, "do not exist"),
        (&elsewhere, &["--credentials", "git"], "configuration_invalid", 2, "may not be used for the host"),
        (&others, &["--credentials", "git"], "configuration_invalid", 2, "may not be used by the product line"),
    ] {
        let run = build(slipway, &url, args).await;
        assert_eq!((run.failure_code(), run.code), (code, exit), "{args:?}: {}", run.text());
        assert!(run.failure()["message"].as_str().unwrap_or_default().contains(says), "{says}: {}", run.text());
        assert_eq!(run.failure()["step"], "checkout", "{}", run.text());
        assert!(!run.text().contains("not-the-password"), "{}", run.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_with_the_operators_key() {
    let repository = Published::new("private", PREBUILT);
    let url = repository.ssh_url();
    let base = "SLIPWAY_TEST_GIT_SSH";
    let args = |extra: &[&str]| {
        let all = [&["plan", &url, "--format", "json", "--product-line", PRODUCT_LINE], extra].concat();
        all.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()
    };
    let right = with_credentials(&key("key"), base, PRODUCT_LINE);
    let run = right.run(&args(&["--credentials", "git"])).await;
    assert_eq!(run.code, 0, "{}", run.text());
    assert_eq!(run.report["source"]["commit"], repository.git(&["rev-parse", "HEAD"]));

    let secrets = tempfile::tempdir().unwrap();
    let by_password = with_credentials(&password(&secrets, "x"), base, PRODUCT_LINE);
    for (slipway, code, exit, says) in [
        (with_credentials(&key("other_key"), base, PRODUCT_LINE), "source_unauthorized", 1, "refused the one given"),
        (with_credentials(&key("host_key.pub"), base, PRODUCT_LINE), "configuration_invalid", 2, "no private key"),
        (by_password, "configuration_invalid", 2, "have no `ssh_key`"),
    ] {
        let run = slipway.run(&args(&["--credentials", "git"])).await;
        assert_eq!((run.failure_code(), run.code), (code, exit), "{}", run.text());
        assert!(run.failure()["message"].as_str().unwrap_or_default().contains(says), "{says}: {}", run.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_sha_256_becomes_an_image() {
    let repository = Published::with_hash("sha256", "open", PREBUILT);
    let url = repository.url("SLIPWAY_TEST_GIT");
    let run = build(&Slipway::new(), &url, &["--name", "sha256-url"]).await;
    let image = Image::of(&run);
    let commit = repository.git(&["rev-parse", "HEAD"]);
    assert_eq!((commit.len(), &run.report["source"]["commit"]), (64, &commit.as_str().into()));
    assert!(image.0.ends_with(&format!(":{}", &commit[..12])), "{}", image.0);
    assert_eq!(image.prints(&["sh", "/app/run.sh"]), b"ready\n");
    let run = build(&Slipway::new(), &repository.path().display().to_string(), &["--name", "sha256-directory"]).await;
    assert_eq!(Image::of(&run).prints(&["sh", "/app/run.sh"]), b"ready\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_any_bytes_reach_the_image() {
    let repository = Published::new("open", PREBUILT);
    let output = repository.path().join("output");
    let names: [&[u8]; 3] = [b"two\nlines", b"caf\xe9", b"quote\" \\ and\ttab"];
    for name in names {
        std::fs::write(output.join(OsStr::from_bytes(name)), name).unwrap();
    }
    repository.commit(&[]);
    for (source, name) in [
        (repository.url("SLIPWAY_TEST_GIT"), "names-of-a-commit"),
        (repository.path().display().to_string(), "names-of-a-directory"),
    ] {
        let run = build(&Slipway::new(), &source, &["--name", name]).await;
        let image = Image::of(&run);
        let found = image.prints(&["sh", "-c", "cd /app && printf '%s\\0' *"]);
        let mut found: Vec<&[u8]> = found.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
        found.retain(|name| *name != b"run.sh");
        found.sort_unstable();
        let mut wanted = names.to_vec();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_what_was_there_before() {
    let repository = Published::new("open", PREBUILT);
    repository.commit(&[("output/name", &repository.name)]);
    let url = repository.url("SLIPWAY_TEST_GIT");
    for (before, tag) in [(false, "first"), (true, "second")] {
        let run = build(&Slipway::new(), &url, &["--name", "cached", "--push", "--tag", tag]).await;
        let _image = Image::of(&run);
        let steps = run.report["steps"].as_array().unwrap();
        for name in ["checkout", "image", "push"] {
            let step = steps.iter().find(|step| step["step"] == name).unwrap();
            assert_eq!(step["cached"], before, "{name}: {}", run.text());
        }
    }
}

/// A repository of that many files, most of them of no interest.
fn large(files: usize) -> Published {
    let repository = Published::new("open", PREBUILT);
    let head = repository.git(&["rev-parse", "HEAD"]);
    let mut stream = format!("commit refs/heads/main\ncommitter A <a@example.com> 1 +0000\ndata 1\nx\nfrom {head}\n");
    for number in 0..files {
        writeln!(stream, "M 644 inline src/{}/{number}.txt\ndata 8\n{number:08}", number / 200).unwrap();
    }
    repository.fast_import(stream.as_bytes());
    repository
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_files_are_planned_in_little_memory() {
    let repository = large(100_000);
    let url = repository.url("SLIPWAY_TEST_GIT");
    let arguments = ["plan", &url, "--format", "json"].map(str::to_owned);
    let slipway = Slipway::new();
    let command = slipway.command(&arguments);
    // 400 MiB of memory is what the program may take, not its Git.
    let mut limited = tokio::process::Command::new("sh");
    limited.args(["-c", "ulimit -d 409600; exec \"$0\" \"$@\""]).arg(command.as_std().get_program());
    limited.args(command.as_std().get_args()).envs(command.as_std().get_envs().filter_map(|(k, v)| Some((k, v?))));
    let began = std::time::Instant::now();
    let output = limited.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: writes a hundred thousand files"]
async fn a_hundred_thousand_files_are_built() {
    let repository = large(100_000);
    let run = build(&Slipway::new(), &repository.url("SLIPWAY_TEST_GIT"), &["--name", "large"]).await;
    assert_eq!(Image::of(&run).prints(&["sh", "/app/run.sh"]), b"ready\n");
    let checkout = run.report["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "checkout");
    let took: u64 = checkout.filter_map(|step| step["duration_ms"].as_u64()).sum();
    assert!(took < 120_000, "{took} ms");
}
