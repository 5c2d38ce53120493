//! Whole flows through workers: libraries and what depends on them, several JDKs at once, a publish service.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixDatagram;

use crate::services::{run, service};
use crate::support::fleet::{Fleet, Repository};
use crate::support::slipway::{PRODUCT_LINE, Slipway};

#[tokio::test(flavor = "multi_thread")]
async fn the_publish_service_of_the_examples_gets_its_report() {
    let mut fleet = Fleet::new(&[("WORKER__LANES", "{ interactive = 1, bulk = 0 }")]).await;
    let mut repository = Repository::script("echo begun\nsleep 600\n");
    let _worker = fleet.worker().await;
    // An older build has the only slot, until the service says that it is no longer wanted.
    let old = fleet.send(&repository.message(json!({ "supersede": "main" }))).await;
    fleet.event(&old, |event| event["kind"] == "log").await;
    repository.commit(&[("build.sh", "echo hello\n")]);
    let mut request = repository.message(json!({ "supersede": "main" }));
    request.as_object_mut().unwrap().remove("id");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/publish-service/publish.py");
    // Debian's own Python has the package that Debian installs.
    let mut child = tokio::process::Command::new("/usr/bin/python3")
        .arg(program)
        .env("AMQP_URL", service("SLIPWAY_TEST_AMQP"))
        .env("SLIPWAY_PREFIX", &fleet.prefix)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(request.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let (report, followed) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{followed}");
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["outcome"], "succeeded");
    assert!(followed.contains("log\tcompile\thello"), "{followed}");
    assert_eq!(fleet.report(&old).await["outcome"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_of_the_worker_until_it_goes() {
    let fleet = Fleet::new(&[]).await;
    let path = fleet.state().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut command = fleet.slipway.command(&["worker".to_owned()]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
    let mut worker = command.spawn().unwrap();
    let mut said = Vec::new();
    let mut signs = 0;
    while !said.iter().any(|message| message == "STOPPING=1") {
        let mut buffer = [0; 256];
        let heard = tokio::time::timeout(fleet.patience, manager.recv(&mut buffer)).await;
        let message = String::from_utf8_lossy(&buffer[..heard.expect("a message in time").unwrap()]).into_owned();
        signs += u32::from(message == "WATCHDOG=1" && said.contains(&"READY=1".to_owned()));
        said.push(message);
        // Life goes on after the start, and then the worker is told to go.
        if signs == 3 {
            run(fleet.state(), &["kill", "-s", "TERM", &worker.id().unwrap().to_string()]);
        }
    }
    assert!(said.contains(&"STATUS=taking builds".to_owned()), "{said:?}");
    assert_eq!(worker.wait().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_while_the_machine_has_no_room_for_it() {
    let mut fleet = Fleet::new(&[]).await;
    let repository = Repository::script("true\n");
    let path = fleet.slipway.config();
    let roomy = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, roomy.replace("[worker]", "[worker]\nfree_memory = \"1000000GiB\"")).unwrap();
    let worker = fleet.start();
    worker.says("the machine has too little free memory").await;
    let id = fleet.send(&repository.message(json!({}))).await;
    fleet.until_waiting("builds.interactive", 1).await;
    fleet.no_more_reports().await;
    std::fs::write(&path, roomy).unwrap();
    worker.signal("HUP");
    assert_eq!(fleet.report(&id).await["outcome"], "succeeded");
}

/// A project of one module.
fn pom(artifact: &str, version: &str, jdk: &str, more: &str) -> String {
    let bridge = service("SLIPWAY_TEST_BRIDGE_MAVEN");
    let release = match jdk {
        "8" => "<maven.compiler.source>8</maven.compiler.source><maven.compiler.target>8</maven.compiler.target>"
            .to_owned(),
        jdk => format!("<maven.compiler.release>{jdk}</maven.compiler.release>"),
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>com.example.fleet</groupId><artifactId>{artifact}</artifactId><version>{version}</version>\
         <properties>{release}<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>\
         <repositories><repository><id>fleet</id><url>{bridge}</url></repository></repositories>{more}</project>"
    )
}

const MAIN: &str = "package app;\npublic class Main {\n  public static void main(String[] a) {\n    System.out.println(\"up\");\n  }\n}\n";

const PLUGIN: &str = "<build><plugins><plugin><groupId>org.apache.maven.plugins</groupId><artifactId>maven-jar-plugin</artifactId>\
    <configuration><archive><manifest><mainClass>app.Main</mainClass></manifest></archive></configuration></plugin></plugins></build>";

/// Maven refuses plain HTTP; the repository of the tests speaks nothing else.
const SETTINGS: &str = "<settings><mirrors><mirror><id>maven-default-http-blocker</id>\
    <mirrorOf>external:dont-match-anything-mate:*</mirrorOf><url>http://127.0.0.1</url></mirror></mirrors></settings>";

/// Workers whose commands run in containers, as an operator's do.
async fn containers(lanes: &str, more: &[(&str, &str)]) -> Fleet {
    let settings = concat!(env!("CARGO_TARGET_TMPDIR"), "/fleet-settings.xml");
    std::fs::write(settings, SETTINGS).unwrap();
    let settings = [("BUILD__RUNNER", "container"), ("WORKER__LANES", lanes), ("MIRRORS__MAVEN_SETTINGS", settings)];
    let mut fleet = Fleet::new(&[&settings[..], more].concat()).await;
    // Maven downloads its plugins when it runs for the first time.
    fleet.patience = Duration::from_mins(8);
    fleet
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: Maven builds a library, and then a service with it"]
async fn a_library_is_deployed_and_what_depends_on_it_finds_it() {
    let mut fleet = containers("{ interactive = 1, bulk = 1 }", &[]).await;
    let version = format!("1.0.{}", uuid::Uuid::now_v7().as_u128() >> 80);
    let library = Repository::new(&[
        ("pom.xml", &pom("greeting", &version, "17", "")),
        (
            "src/main/java/greeting/Greeting.java",
            "package greeting;\npublic class Greeting { public static final String TEXT = \"up\"; }\n",
        ),
    ]);
    let _worker = fleet.worker().await;
    let id = fleet.send(&library.message(json!({}))).await;
    let report = fleet.report(&id).await;
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    assert_eq!(report["library"]["coordinates"], json!(format!("com.example.fleet:greeting:{version}")));
    assert_eq!(report["library"]["repository"], json!(service("SLIPWAY_TEST_BRIDGE_MAVEN")));
    assert!(report.get("image").is_none());
    let depends = format!(
        "<dependencies><dependency><groupId>com.example.fleet</groupId><artifactId>greeting</artifactId>\
         <version>{version}</version></dependency></dependencies>{PLUGIN}"
    );
    let main = MAIN.replace("\"up\"", "greeting.Greeting.TEXT");
    let service =
        Repository::new(&[("pom.xml", &pom("shop", "1.0", "17", &depends)), ("src/main/java/app/Main.java", &main)]);
    let id = fleet.send(&service.message(json!({ "application": { "kind": "service" } }))).await;
    let report = fleet.report(&id).await;
    assert_eq!((&report["outcome"], &report["image"]["pushed"]), (&json!("succeeded"), &json!(true)), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: Maven deploys one version twice"]
async fn a_released_version_is_deployed_once() {
    let releases = service("SLIPWAY_TEST_BRIDGE_MAVEN").replace("/maven", "/released");
    let mut fleet = containers("{ interactive = 1, bulk = 1 }", &[("MIRRORS__MAVEN_DEPLOY__URL", &releases)]).await;
    let _worker = fleet.worker().await;
    let number = uuid::Uuid::now_v7().as_u128() >> 80;
    for (version, again) in [(format!("1.0.{number}"), "failed"), (format!("1.0.{number}-SNAPSHOT"), "succeeded")] {
        let library = Repository::new(&[("pom.xml", &pom("greeting", &version, "17", ""))]);
        for expected in ["succeeded", again] {
            let id = fleet.send(&library.message(json!({}))).await;
            let report = fleet.report(&id).await;
            assert_eq!(report["outcome"], expected, "{version}: {report:#}");
            if expected == "failed" {
                let failure = &report["failure"];
                assert_eq!(
                    (&failure["code"], &failure["blame"], &failure["step"]),
                    (&json!("deploy_failed"), &json!("project"), &json!("deploy")),
                    "{failure:#}"
                );
                assert!(failure["hint"].as_str().unwrap().contains("has this version already"), "{failure:#}");
            }
        }
    }
}

/// A toolchain of tests that deploys: both steps are the repository's own scripts.
const DEPLOYER: &str = r#"
name = "deployer"
title = "Deployer"

[detect]
files = ["deploy.sh"]

[run]
"" = "static"

[[steps]]
step = "compile"
command = ["sh", "compile.sh"]

[[steps]]
step = "deploy"
command = ["sh", "deploy.sh"]

[library]
coordinates = "script"
repository = "nowhere"

[image]
workdir = "/app"
command = ["/app/run"]
layers = [{ name = "application", from = "source", to = "/app" }]
"#;

/// What Maven prints when a repository does not answer.
const UNAVAILABLE: &str = "echo 'Could not transfer artifact: Connection refused'; exit 1\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_further_run_of_a_build_takes_what_it_deployed_for_its_own() {
    let mut fleet = Fleet::new(&[]).await;
    let toolchain = fleet.state().join("catalog/toolchains/deployer");
    std::fs::create_dir_all(&toolchain).unwrap();
    std::fs::write(toolchain.join("toolchain.toml"), DEPLOYER).unwrap();
    let releases = service("SLIPWAY_TEST_MAVEN").replace("/maven", "/released");
    let (user, password) = (service("SLIPWAY_TEST_USER"), service("SLIPWAY_TEST_PASSWORD"));
    let library = |version: &str, compile: &str, after: &str| {
        let place = format!("{releases}/fleet/{version}/greeting.jar");
        let upload =
            format!("curl -s -o /dev/null -w 'status: %{{http_code}}\\n' -u {user}:{password} -T deploy.sh {place}");
        let deploy = format!("{upload} | tee status\ngrep -q 'status: 20' status || exit 1\n{after}");
        Repository::new(&[("compile.sh", compile), ("deploy.sh", &deploy)])
    };
    let of_its_own = |report: &Value| {
        assert_eq!(
            (&report["outcome"], &report["warnings"][0]["code"]),
            (&json!("succeeded"), &json!("deployed_before")),
            "{report:#}"
        );
    };
    // Its worker dies after the deployment.
    let version = uuid::Uuid::now_v7().to_string();
    let mut worker = fleet.worker().await;
    let dying = library(&version, "true\n", "echo begun\nsleep 20\n");
    let id = fleet.send(&dying.message(json!({}))).await;
    let begun = |event: &Value| event["lines"].as_array().is_some_and(|lines| lines.contains(&json!("begun")));
    fleet.event(&id, begun).await;
    worker.child.kill().await.unwrap();
    let _worker = fleet.worker().await;
    of_its_own(&fleet.report(&id).await);
    // It is tried again after the deployment.
    let passing = library(&uuid::Uuid::now_v7().to_string(), "true\n", UNAVAILABLE);
    let id = fleet.send(&passing.message(json!({}))).await;
    let report = fleet.report(&id).await;
    assert_eq!(report["attempt"], 2);
    of_its_own(&report);
    // A version of somebody else's stays refused, also to a later attempt that comes as far for the first time.
    let marker = fleet.state().join("tried").display().to_string();
    let once = format!("test -e {marker} || {{ touch {marker}; {}; }}\n", UNAVAILABLE.trim());
    for (compile, attempt) in [("true\n", 1), (&once, 2)] {
        let refused = library(&version, compile, "true\n");
        let id = fleet.send(&refused.message(json!({}))).await;
        let report = fleet.report(&id).await;
        assert_eq!(
            (&report["attempt"], &report["failure"]["code"], &report["failure"]["blame"]),
            (&json!(attempt), &json!("deploy_failed"), &json!("project")),
            "{report:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_cancelled_and_not_superseded() {
    let mut fleet = Fleet::new(&[("WORKER__LANES", "{ interactive = 2, bulk = 0 }")]).await;
    let toolchain = fleet.state().join("catalog/toolchains/deployer");
    std::fs::create_dir_all(&toolchain).unwrap();
    std::fs::write(toolchain.join("toolchain.toml"), DEPLOYER).unwrap();
    let marker = fleet.state().join("go").display().to_string();
    let deploy = format!("echo deploying\nwhile ! test -e {marker}; do sleep 0.1; done\n");
    let library = Repository::new(&[("compile.sh", "true\n"), ("deploy.sh", &deploy)]);
    let deploying = |event: &Value| event["kind"] == "log" && event["step"] == "deploy";
    let _worker = fleet.worker().await;
    // Whoever cancels it says so, and is obeyed.
    let id = fleet.send(&library.message(json!({}))).await;
    fleet.event(&id, deploying).await;
    let cancel = fleet.slipway.run(&["cancel".to_owned(), id.clone()]).await;
    assert_eq!(cancel.code, 0, "{}", cancel.text());
    let report = fleet.report(&id).await;
    assert_eq!((&report["outcome"], &report["failure"]["step"]), (&json!("cancelled"), &json!("deploy")), "{report:#}");
    // A newer build ends none whose release is half deployed.
    let old = fleet.send(&library.message(json!({ "supersede": "main" }))).await;
    fleet.event(&old, deploying).await;
    let new = fleet.send(&library.message(json!({ "supersede": "main" }))).await;
    fleet.event(&new, deploying).await;
    std::fs::write(&marker, "").unwrap();
    for report in [fleet.next_report().await, fleet.next_report().await] {
        assert_eq!(report["outcome"], "succeeded", "{old}: {report:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: Maven builds with two JDKs"]
async fn one_worker_builds_with_two_jdks_at_once() {
    // Both fill the same repository.
    let cache = tempfile::tempdir().unwrap();
    let cold = [("CACHE__DIRECTORY", cache.path().to_str().unwrap())];
    let mut fleet = containers("{ interactive = 2, bulk = 0 }", &cold).await;
    let of = |jdk: &str| {
        Repository::new(&[("pom.xml", &pom("shop", "1.0", jdk, PLUGIN)), ("src/main/java/app/Main.java", MAIN)])
    };
    let repositories = [of("8"), of("21")];
    let _worker = fleet.worker().await;
    let mut ids = Vec::new();
    for repository in &repositories {
        ids.push(fleet.send(&repository.message(json!({ "application": { "kind": "service" } }))).await);
    }
    let reports = [fleet.next_report().await, fleet.next_report().await];
    let of = |id: &str| reports.iter().find(|report| report["id"] == id).unwrap();
    for (id, jdk) in ids.iter().zip(["8", "21"]) {
        assert_eq!(
            (&of(id)["outcome"], &of(id)["toolchain"]["version"]),
            (&json!("succeeded"), &json!(jdk)),
            "{:#}",
            of(id)
        );
        let reference = of(id)["image"]["references"][0].as_str().unwrap();
        assert!(reference.contains(PRODUCT_LINE), "{reference}");
    }
    // RFC 3339 in UTC with as many digits sorts as text.
    let text = |id: &str, key: &str| of(id)[key].as_str().unwrap().to_owned();
    let began = ids.iter().map(|id| text(id, "started_at")).max().unwrap();
    let ended = ids.iter().map(|id| text(id, "finished_at")).min().unwrap();
    assert!(began < ended, "one was built after the other");
}

/// The text files of an example.
fn example(name: &str) -> Repository {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).join(name);
    let (mut files, mut open) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(&root).unwrap().display().to_string();
                files.push((path, std::fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    Repository::new(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: eight builds of three ecosystems at once, three times from cold caches"]
async fn shared_caches_are_filled_by_many_at_once() {
    let maven = |jdk: &str| {
        Repository::new(&[("pom.xml", &pom("shop", "1.0", jdk, PLUGIN)), ("src/main/java/app/Main.java", MAIN)])
    };
    let repositories = [
        maven("8"),
        example("flask"),
        example("go"),
        maven("17"),
        example("flask"),
        example("go"),
        example("spring-boot"),
        example("flask"),
    ];
    let mut digests: Vec<Vec<Value>> = Vec::new();
    for round in 1..=3 {
        let cache = tempfile::tempdir().unwrap();
        let cold = [("CACHE__DIRECTORY", cache.path().to_str().unwrap())];
        let mut fleet = containers("{ interactive = 8, bulk = 0 }", &cold).await;
        fleet.patience = Duration::from_mins(25);
        let worker = fleet.worker().await;
        let mut ids = Vec::new();
        for repository in &repositories {
            ids.push(fleet.send(&repository.message(json!({ "application": { "kind": "service" } }))).await);
        }
        let mut reports = Vec::new();
        for _ in &ids {
            reports.push(fleet.next_report().await);
        }
        let of = |id: &String| reports.iter().find(|report| report["id"] == json!(id)).unwrap();
        for id in &ids {
            let report = of(id);
            assert_eq!((&report["outcome"], &report["attempt"]), (&json!("succeeded"), &json!(1)), "{report:#}");
        }
        println!("round {round}: {} builds", ids.len());
        digests.push(ids.iter().map(|id| of(id)["image"]["digest"].clone()).collect());
        drop(worker);
    }
    assert!(digests.iter().all(|round| round == &digests[0]), "a cache changed what was built: {digests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: an image with the whole program in it"]
async fn slipway_builds_itself() {
    let directory = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    for file in ["Dockerfile", ".dockerignore"] {
        std::fs::copy(Path::new(root).join(file), directory.path().join(file)).unwrap();
    }
    let release = directory.path().join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    let binary = release.join("slipway").display().to_string();
    run(directory.path(), &["strip", "-o", &binary, env!("CARGO_BIN_EXE_slipway")]);
    run(directory.path(), &["git", "init", "--quiet"]);
    run(directory.path(), &["git", "add", "--force", "--all"]);
    run(directory.path(), &["git", "commit", "--quiet", "--message", "one"]);
    let base = "toolchain.build_args={BASE=\"slipway/debian:latest\"}";
    let args = ["--toolchain", "dockerfile", "--name", "slipway", "--set", base].map(str::to_owned);
    let slipway = Slipway::new().and("[build.start_check]\nenabled = false\n");
    let built = slipway.build(directory.path(), &args).await;
    assert_eq!(built.code, 0, "{}", built.text());
    let image = built.report["image"]["references"][0].as_str().unwrap();
    let said = run(directory.path(), &["docker", "run", "--rm", image, "--version"]);
    run(directory.path(), &["docker", "image", "rm", "--force", image]);
    assert_eq!(said, format!("slipway {}", env!("CARGO_PKG_VERSION")));
}
