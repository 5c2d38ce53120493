//! Every example, end to end: built, pushed, pulled, started, probed, stopped, looked into.

use slipway::message::BuildMessage;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;

use crate::services::service;
use crate::support::case::Case;
use crate::support::container::Container;
use crate::support::image::{Pulled, engine};
use crate::support::probe;
use crate::support::project::{COMMITTED_AT, Project};
use crate::support::slipway::{PRODUCT_LINE, Run, Slipway};

/// How many examples are built at a time, however many tests run.
static BUILDERS: Semaphore = Semaphore::const_new(2);

/// How long an application may take to answer.
const START: Duration = Duration::from_secs(90);

/// The user that images run as where nobody states one.
const USER: &str = "10001";

/// Files that are planted in every example and belong into no image.
const SECRETS: &[&str] = &[".env", "id_rsa", "server.pem"];

/// What planted secrets hold.
const MARKER: &str = "planted-and-never-shipped";

macro_rules! examples {
    ($($name:ident: $directory:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                check($directory).await;
            }
        )*

        #[test]
        fn every_example_has_a_test() {
            let tested: BTreeSet<String> = [$($directory.to_owned()),*].into();
            let entries = std::fs::read_dir(root()).unwrap().map(Result::unwrap);
            let there: BTreeSet<String> = entries
                .filter(|entry| entry.path().join("slipway-test.json").is_file())
                .map(|entry| entry.file_name().into_string().unwrap())
                .collect();
            assert_eq!(tested, there);
        }
    };
}

examples! {
    django: "django",
    fastapi: "fastapi",
    flask: "flask",
    go: "go",
    jdk8_reactor: "jdk8-reactor",
    maven_library: "maven-library",
    middleware: "middleware",
    prebuilt: "prebuilt",
    spring_boot: "spring-boot",
    tornado: "tornado",
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// What is pushed for an unchanged commit is its configuration: nothing in a layer depends on when
/// or in which workspace it was built.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_commit_gives_the_same_layers() {
    let _builder = BUILDERS.acquire().await.unwrap();
    for example in ["flask", "jdk8-reactor", "go"] {
        same_layers(example).await;
    }
}

/// Builds an example in two workspaces, nothing taken from the builder's cache.
async fn same_layers(example: &str) {
    let mut layers: Vec<Vec<String>> = Vec::new();
    for name in ["first", "second"] {
        let project = Project::copy_of(&root().join(example));
        project.commit();
        let args = ["--push", "--no-cache", "--name", name].map(str::to_owned);
        let run = Slipway::new().build(&project.path(), &args).await;
        assert_eq!(run.code, 0, "{}", run.text());
        let _image = Pulled::from_report(&engine().await, &run.report).await;
        let pushed = run.report["image"]["layers"].as_array().cloned().unwrap_or_default();
        layers.push(pushed.iter().map(|layer| layer["digest"].as_str().unwrap_or_default().to_owned()).collect());
    }
    assert!(layers[0].len() >= 2, "{example}: {layers:?}");
    assert_eq!(layers[0], layers[1], "{example}");
}

async fn check(example: &str) {
    let _builder = BUILDERS.acquire().await.unwrap();
    let directory = root().join(example);
    for (number, case) in Case::read(&directory).iter().enumerate() {
        eprintln!("{example}, case {}", number + 1);
        let project = Project::copy_of(&directory);
        plant_secrets(&project);
        let commit = project.commit();
        let run = build(&project, case).await;
        assert_eq!(run.code, 0, "{example}: {}", run.text());
        planned(&run, case, &commit);
        if case.is_service() {
            service_works(&run.report, case, &commit).await;
        } else {
            library_is_there(&run.report, case).await;
        }
    }
}

/// Secrets that somebody committed by mistake.
fn plant_secrets(project: &Project) {
    for directory in ["", "output/", "config/"] {
        if project.path().join(directory).is_dir() {
            for name in SECRETS {
                project.write(&format!("{directory}{name}"), &format!("PASSWORD={MARKER}\n"));
            }
        }
    }
}

async fn build(project: &Project, case: &Case) -> Run {
    let mut args: Vec<String> = Vec::new();
    for arg in &case.args {
        args.push(if arg.contains("{debian_mirror}") {
            arg.replace("{debian_mirror}", &debian_mirror())
        } else {
            arg.clone()
        });
    }
    if case.is_service() {
        args.push("--push".to_owned());
    }
    Slipway::new().build(&project.path(), &args).await
}

/// The mirror that the base images were made from: the host's own where it is Debian's, or debootstrap's default.
fn debian_mirror() -> String {
    let sources = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"].map(std::fs::read_to_string);
    let words = sources.iter().flatten().flat_map(|text| text.split_whitespace());
    let host =
        words.filter(|word| word.starts_with("http")).find(|word| word.trim_end_matches('/').ends_with("/debian"));
    if let Some(mirror) = host {
        return mirror.to_owned();
    }
    let script = std::fs::read_to_string("/usr/sbin/debootstrap").unwrap_or_default();
    let default = script.lines().find_map(|line| line.trim().strip_prefix("DEF_MIRROR="));
    let mirror = default.map(|value| value.trim_matches(['"', '\'']).to_owned());
    mirror.expect("debootstrap names its default mirror: run `make services`")
}

/// The report says what was found and what was made.
fn planned(run: &Run, case: &Case, commit: &str) {
    let report = &run.report;
    let text = || run.text();
    assert_eq!(report["outcome"], "succeeded", "{}", text());
    assert_eq!(report["source"]["commit"], commit, "{}", text());
    assert_eq!(report["source"]["dirty"], false, "{}", text());
    assert_eq!(report["toolchain"]["name"], case.toolchain, "{}", text());
    if let Some(version) = &case.version {
        assert_eq!(report["toolchain"]["version"], *version, "{}", text());
    }
    if let Some(process) = &case.process {
        assert_eq!(report["application"]["process"], *process, "{}", text());
    }
    for password in [service("SLIPWAY_TEST_PASSWORD"), MARKER] {
        assert!(!text().contains(password), "a secret is told: {}", text());
    }
    // Whoever's directory is copied into the image is told what was left out of it.
    if ["python", "prebuilt"].contains(&case.toolchain.as_str()) {
        let warnings = report["warnings"].as_array().cloned().unwrap_or_default();
        let named = |name: &str| warnings.iter().any(|w| w["path"].as_str().is_some_and(|path| path.ends_with(name)));
        for name in SECRETS {
            assert!(named(name), "no warning names `{name}`: {}", text());
        }
    }
}

async fn service_works(report: &Value, case: &Case, commit: &str) {
    let docker = engine().await;
    let image = Pulled::from_report(&docker, report).await;
    described(&image, report, case, commit);
    let container = Container::start(&docker, &image.reference, &case.env, &[], case.port).await.unwrap();
    if let Some(why) = &case.fails {
        let ended = probe::until(START, async || finished(&container).await, async || true).await;
        let log = container.log().await;
        assert!(ended.is_ok_and(|code| code != 0), "{}: it started without what it needs: {log}", image.reference);
        assert!(log.contains(why), "{log}");
        return;
    }
    let outcome = answers(&container, case, commit).await;
    let log = container.log().await;
    outcome.unwrap_or_else(|why| panic!("{}: {why}\n{log}", image.reference));
    let user = image.config.user.as_deref().unwrap_or_default();
    let uid = user.split(':').next().unwrap_or_default();
    let users = container.users().await;
    assert!(!users.is_empty() && users.iter().all(|user| user == uid), "processes run as {users:?}\n{log}");
    contents(&container, case).await;
    if case.healthcheck {
        health(&container, &image).await;
    }
    let ended = container.stop().await.unwrap();
    let log = container.log().await;
    assert!([0, 143].contains(&ended.code), "it ended with {ended:?}\n{log}");
    assert!(ended.took < Duration::from_secs(9), "SIGTERM was ignored: {ended:?}\n{log}");
    for text in &case.log_contains {
        assert!(log.contains(text), "the log has no {text:?}:\n{log}");
    }
}

async fn finished(container: &Container) -> Result<i64, String> {
    if container.is_running().await { Err("it still runs".to_owned()) } else { Ok(container.exit_code().await) }
}

/// The image's configuration and history.
fn described(image: &Pulled, report: &Value, case: &Case, commit: &str) {
    let text = format!("{:#?}\n{:#?}", image.config, image.history);
    let user = image.config.user.as_deref().unwrap_or_default();
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{text}");
    assert_eq!(image.label("revision"), commit, "{text}");
    assert_eq!(image.label("created"), COMMITTED_AT, "{text}");
    assert_eq!(image.label("title"), report["application"]["name"].as_str().unwrap_or_default(), "{text}");
    assert!(image.reference.contains(&format!("/{PRODUCT_LINE}/")), "{}", image.reference);
    assert!(!text.contains(service("SLIPWAY_TEST_PASSWORD")) && !text.contains(MARKER), "{text}");
    if case.toolchain == "dockerfile" {
        return;
    }
    assert!(user.starts_with(USER), "{text}");
    assert_eq!(image.layers(), case.layers, "{text}");
    assert!(!image.history.iter().any(|line| line.starts_with("RUN")), "{text}");
    assert_eq!(image.label("base.name"), report["image"]["base"].as_str().unwrap_or_default(), "{text}");
    let dockerfile = report["dockerfile"].as_str().unwrap_or_default();
    for line in dockerfile.lines() {
        assert!(!line.starts_with("RUN"), "{dockerfile}");
        assert!(
            !line.starts_with("COPY") || (line.starts_with("COPY layer-") && line.ends_with("/ /")),
            "{dockerfile}"
        );
    }
    if let Some(port) = case.port {
        let exposed = image.config.exposed_ports.clone().unwrap_or_default();
        assert_eq!(exposed, [format!("{port}/tcp")], "{text}");
    }
}

/// It answers, or says in its log that it has started.
async fn answers(container: &Container, case: &Case, commit: &str) -> Result<(), String> {
    let address = container.address();
    for probe in &case.probes {
        let contains = probe.contains.replace("{commit}", &commit[..12]);
        let attempt = async || {
            let answer = probe::get(&address, &probe.path).await.map_err(|error| error.to_string())?;
            if answer.0 == probe.status && answer.1.contains(&contains) {
                return Ok(());
            }
            Err(format!("`{}` answered {answer:?} instead of {} with {contains:?}", probe.path, probe.status))
        };
        probe::until(START, attempt, async || container.is_running().await).await?;
    }
    if let Some(tcp) = &case.tcp {
        let attempt = async || {
            let answer = probe::exchange(&address, &tcp.send, |answer| answer.len() >= tcp.contains.len()).await;
            let answer = answer.map_err(|error| error.to_string())?;
            if answer.starts_with(&tcp.contains) { Ok(()) } else { Err(format!("{answer:?}")) }
        };
        probe::until(START, attempt, async || container.is_running().await).await?;
    }
    if let Some(ready) = &case.ready {
        let attempt =
            async || if container.log().await.contains(ready) { Ok(()) } else { Err(format!("no {ready:?}")) };
        probe::until(START, attempt, async || container.is_running().await).await?;
    }
    Ok(())
}

/// What belongs there is there; what looks like a secret is not.
async fn contents(container: &Container, case: &Case) {
    for path in &case.files {
        assert!(container.has(path).await, "the image has no `{path}`");
    }
    for (path, bytes) in container.files("/app").await {
        let name = path.rsplit('/').next().unwrap_or_default();
        let secret = SECRETS.contains(&name);
        assert!(!secret, "the image has `{path}`");
        let shipped = [MARKER, service("SLIPWAY_TEST_PASSWORD")].into_iter().find(|secret| holds(&bytes, secret));
        assert_eq!(shipped, None, "`{path}` holds a secret");
        assert!(!path.contains("/.git/"), "the image has `{path}`");
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The image's own health check succeeds in the running container.
async fn health(container: &Container, image: &Pulled) {
    let test = image.config.healthcheck.as_ref().and_then(|check| check.test.clone()).unwrap_or_default();
    let command = match &test[..] {
        [kind, command @ ..] if kind == "CMD" => command.to_vec(),
        [kind, line] if kind == "CMD-SHELL" => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        _ => panic!("the image has no health check: {:#?}", image.config),
    };
    let (code, output) = container.exec(&command).await;
    assert_eq!(code, 0, "{command:?}: {output}");
}

/// A library is in the package repository, and no image was made.
async fn library_is_there(report: &Value, case: &Case) {
    assert!(report["image"].is_null(), "{report:#}");
    assert!(report["dockerfile"].is_null(), "{report:#}");
    let maven = service("SLIPWAY_TEST_MAVEN");
    for path in &case.deployed {
        let answer = fetch(&format!("{maven}/{path}")).await;
        assert!(answer.is_ok(), "`{path}` was not deployed: {answer:?}\n{report:#}");
    }
}

/// Fetched with the account of the repository, by the program that people would use.
async fn fetch(url: &str) -> Result<String, String> {
    let account = format!("{}:{}", service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD"));
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--user", &account, url]);
    let output = curl.output().await.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The job's script writes a build message, whatever the pipeline's variables hold.
#[test]
fn the_job_of_gitlab_asks_for_a_build() {
    let job = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gitlab-ci.yml")).unwrap();
    let script: Vec<_> = job
        .lines()
        .skip_while(|line| !line.contains("cat > build.json"))
        .take_while(|line| !line.trim_start().starts_with("- "))
        .map(str::trim_start)
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let ended = std::process::Command::new("sh")
        .args(["-euc", &script.join("\n")])
        .current_dir(directory.path())
        .envs([
            ("PRODUCT_LINE", "trade"),
            ("CI_PIPELINE_ID", "4711"),
            ("CI_JOB_ID", "815"),
            ("CI_PROJECT_URL", "https://gitlab.example.com/trade/order"),
            ("CI_PROJECT_NAME", "order"),
            ("CI_COMMIT_REF_NAME", "feature/tax-2026"),
            ("CI_COMMIT_SHA", "0123456789abcdef0123456789abcdef01234567"),
            ("CI_COMMIT_SHORT_SHA", "01234567"),
        ])
        .status()
        .unwrap();
    assert!(ended.success(), "{script:#?}");
    let message = BuildMessage::parse(&std::fs::read(directory.path().join("build.json")).unwrap()).unwrap();
    let request = message.request().unwrap();
    assert_eq!((request.id.as_str(), request.name.to_string()), ("gitlab-4711-815", "order".to_owned()));
    assert_eq!(message.supersede.as_deref(), Some("feature/tax-2026"));
    assert_eq!(request.tags[0].to_string(), "01234567");
    // What a cancelled job says is about the same build.
    assert!(job.contains(&"slipway cancel \"gitlab-$CI_PIPELINE_ID-$CI_JOB_ID\"".to_owned()));
}
