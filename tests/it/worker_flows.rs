//! Whole flows through workers: libraries and what depends on them, several JDKs at once, a publish service.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::services::service;
use crate::support::fleet::{Fleet, Repository};
use crate::support::slipway::PRODUCT_LINE;

#[tokio::test(flavor = "multi_thread")]
async fn the_publish_service_of_the_examples_gets_its_report() {
    let fleet = Fleet::new(&[]).await;
    let repository = Repository::script("echo hello\n");
    let _worker = fleet.worker().await;
    let mut request = repository.message(json!({}));
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
async fn containers(lanes: &str) -> Fleet {
    let settings = concat!(env!("CARGO_TARGET_TMPDIR"), "/fleet-settings.xml");
    std::fs::write(settings, SETTINGS).unwrap();
    let settings = [("BUILD__RUNNER", "container"), ("WORKER__LANES", lanes), ("MIRRORS__MAVEN_SETTINGS", settings)];
    let mut fleet = Fleet::new(&settings).await;
    // Maven downloads its plugins when it runs for the first time.
    fleet.patience = Duration::from_mins(8);
    fleet
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: Maven builds a library, and then a service with it"]
async fn a_library_is_deployed_and_what_depends_on_it_finds_it() {
    let mut fleet = containers("{ interactive = 1, bulk = 1 }").await;
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
#[ignore = "long: Maven builds with two JDKs"]
async fn one_worker_builds_with_two_jdks_at_once() {
    let mut fleet = containers("{ interactive = 2, bulk = 0 }").await;
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
