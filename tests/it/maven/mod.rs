//! The effective model that planning computes against the one that Maven itself computes, on generated poms.

mod generate;
mod theirs;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::Docker;
use slipway::model::command::{CacheMount, Command, Exit, FileMount, Limits, Network};
use slipway::model::failure::Step;
use slipway::model::source_tree::SourceTree;
use slipway::output::{Line, Output, Redactor};
use slipway::runner::Runner;
use slipway::sandbox::{Sandbox, Settings};
use slipway::toolchain::manifest::pom::effective;
use tokio_util::sync::CancellationToken;

/// Maven's arguments that every generated pom is read with.
pub(crate) const ARGUMENTS: &[&str] = &["-Pchosen,!unwanted", "-Dswitch=on"];

/// The JDK that Maven runs on.
const JDK: u32 = 17;

/// Each feature has to be met by as many poms.
const LEAST: usize = 20;

#[tokio::test]
async fn the_static_model_is_mavens_own() {
    compare(7, 90).await;
}

#[tokio::test]
#[ignore = "long: many more poms"]
async fn the_static_model_is_mavens_own_for_a_thousand_poms() {
    for seed in 100..104 {
        compare(seed, 250).await;
    }
}

async fn compare(seed: u64, cases: usize) {
    let workspace = tempfile::tempdir().unwrap();
    let made = generate::cases(seed, cases);
    for (path, text) in &made.files {
        let path = workspace.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    println!("seed {seed}: {cases} cases, {} poms", made.poms.len());
    for (feature, count) in &made.features {
        println!("  {count:4} {feature}");
        assert!(*count >= LEAST, "`{feature}` is met {count} times only");
    }
    let log = run_maven(workspace.path()).await;
    let file = workspace.path().join("effective.xml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {log}"));
    let theirs = theirs::read(&text);
    let tree = SourceTree::of_texts(made.files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let mut different = Vec::new();
    for path in &made.poms {
        let ours = effective(&tree, path, ARGUMENTS, JDK).unwrap().unwrap();
        let theirs = &theirs[&format!("{}:{}", ours["groupId"], ours["artifactId"])];
        different.extend(differences(&ours, theirs).into_iter().map(|difference| format!("{path}: {difference}")));
    }
    // The poms of the first case that differs.
    let case = different.first().and_then(|difference| difference.split('/').next()).unwrap_or_default();
    let poms = made.files.iter().filter(|(path, _)| path.starts_with(&format!("{case}/")));
    let poms: Vec<String> = poms.map(|(path, text)| format!("{path}:\n{text}")).collect();
    let shown = different.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(different.is_empty(), "{} differences:\n{shown}\n{}", different.len(), poms.concat());
}

fn differences(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let differ = keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key));
    differ.map(|key| format!("{key}: ours {:?}, Maven's {:?}", ours.get(key), theirs.get(key))).collect()
}

/// Runs `help:effective-pom` for all poms at once, in the build image that builds projects, and gives what it printed.
async fn run_maven(workspace: &Path) -> String {
    let docker = Docker::connect_with_defaults().expect("a Docker Engine: `make services` starts one");
    let docker = docker.negotiate_version().await.expect("a Docker Engine: `make services` starts one");
    let scratch = tempfile::tempdir().unwrap();
    let runner = Runner::Container(Box::new(Sandbox::new(docker, Settings::new(scratch.path())).unwrap()));
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("maven-help");
    std::fs::create_dir_all(&cache).unwrap();
    let (store, options) = trust(scratch.path());
    let mut argv =
        ["mvn", "--batch-mode", "--no-transfer-progress", "-Dmaven.repo.local=/cache/m2"].map(str::to_owned).to_vec();
    argv.extend(ARGUMENTS.iter().map(|argument| (*argument).to_owned()));
    argv.push("org.apache.maven.plugins:maven-help-plugin:3.5.1:effective-pom".to_owned());
    argv.push("-Doutput=/workspace/effective.xml".to_owned());
    let command = Command {
        build: "maven-model".to_owned(),
        step: Step::Compile,
        argv,
        workdir: "/workspace".into(),
        env: BTreeMap::from([("MAVEN_OPTS".to_owned(), format!("-XX:TieredStopAtLevel=1 -XX:+UseSerialGC {options}"))]),
        network: Network::Bridge,
        image: format!("slipway/build-jdk-{JDK}:latest"),
        workspace: workspace.to_owned(),
        caches: vec![CacheMount { source: cache, target: "/cache/m2".into() }],
        files: store,
        limits: Limits { timeout: Duration::from_mins(5), ..Limits::default() },
    };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let mut output = Output::new(Arc::new(Redactor::default()), move |line: Line| sink.lock().unwrap().push(line.text));
    let exit = runner.run_into(&command, &mut output, &CancellationToken::new()).await;
    drop(output);
    let log = lines.lock().unwrap().join("\n");
    assert_eq!(exit.unwrap(), Exit::Code(0), "{log}");
    log
}

/// The machine's certificate authorities, for Java.
fn trust(directory: &Path) -> (Vec<FileMount>, &'static str) {
    let bundle = Path::new("/etc/ssl/certs/ca-certificates.crt");
    let trust = slipway::trust::Trust::prepare(bundle, directory).unwrap();
    let options = "-Djavax.net.ssl.trustStore=/slipway/ca/truststore.p12 -Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12";
    (trust.files(), options)
}
