//! Sources that nobody vouches for.

use super::planted::Planted;
use super::{MAIN, POM, committed, path};
use crate::support::slipway::Slipway;

/// The same project as above and worse, without anybody who vouches for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_vouches_for_sees_no_secret_and_leaves_nothing() {
    let mut planted = Planted::new().await;
    let cache = tempfile::tempdir().unwrap();
    planted.cache = cache.path().display().to_string();
    let curious = "<resources><resource><directory>/slipway</directory></resource>\
        <resource><directory>/home</directory></resource>\
        <resource><directory>seen</directory><filtering>true</filtering></resource></resources>";
    let project = committed(
        "curious",
        &[
            ("pom.xml", &POM.replace("RESOURCES", curious)),
            ("src/main/java/a/Main.java", MAIN),
            ("seen/proxies", "${env.http_proxy} ${env.HTTP_PROXY}\n"),
            (".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib.git\n"),
        ],
    );
    let deploy = ["--untrusted", "--set", "toolchain.deploy=true"];
    let built = planted.build(&path(&project), &deploy).await;
    built.succeeded();
    assert_eq!(built.report["image"]["pushed"], false, "{:#}", built.report);
    let steps: Vec<&str> =
        built.report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["checkout", "plan", "checkout", "compile", "dockerfile", "image"]);
    assert!(!planted.server.file("maven/com/example/planted/1/planted-1.jar").is_file(), "nothing is deployed");
    let built = built.with_image();
    let seen = |name: &str| {
        let (_, bytes) = built.found.iter().find(|(place, _)| place.ends_with(name)).expect("the project looked");
        String::from_utf8_lossy(bytes).into_owned()
    };
    assert!(seen("settings.xml").contains("<id>nexus</id>"), "{}", seen("settings.xml"));
    assert!(seen("proxies").contains("http://127.0.0.1:9/"), "{}", seen("proxies"));
    assert_eq!(built.leaks(&planted.secrets), [""; 0]);
    assert!(!cache.path().join("toolchains").exists(), "no cache is there for the next build");
    assert_eq!(std::fs::read_dir(cache.path().join("workspaces")).unwrap().count(), 0);
}

/// Commands on the machine itself read what the account may read.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_vouches_for_runs_in_containers_alone() {
    let project = committed(
        "curious",
        &[("go.mod", "module example.com/curious\n\ngo 1.24\n"), ("main.go", "package main\n\nfunc main() {}\n")],
    );
    let refused = Slipway::new().build(&project.path(), &["--untrusted", "--runner", "host"].map(str::to_owned)).await;
    assert_eq!(
        (refused.code, &refused.report["failure"]["code"]),
        (1, &"source_forbidden".into()),
        "{}",
        refused.text()
    );
    let own = committed("curious", &[("Dockerfile", "FROM slipway/debian\nRUN id\nCMD [\"sleep\", \"60\"]\n")]);
    let refused = Slipway::new().build(&own.path(), &["--untrusted".to_owned()]).await;
    assert_eq!(
        (refused.code, &refused.report["failure"]["code"]),
        (1, &"toolchain_forbidden".into()),
        "{}",
        refused.text()
    );
}
