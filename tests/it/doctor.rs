//! `slipway doctor` and the registry: what answers, whom it takes, and what Docker's own files know.

use std::path::Path;

use crate::services::service;
use crate::support::slipway::Slipway;

/// What the doctor says of the registry.
async fn registry(slipway: &Slipway) -> (bool, String) {
    let run = slipway.run(&["doctor", "--format", "json"].map(str::to_owned)).await;
    let findings = run.report.as_array().unwrap_or_else(|| panic!("{}", run.text()));
    let finding = findings.iter().find(|finding| finding["what"] == "registry").unwrap();
    assert_eq!(finding["needed"], true, "who names a registry wants it");
    (finding["there"] == true, finding["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_registry_is_fine_only_where_it_takes_the_login() {
    let (there, said) = registry(&Slipway::new()).await;
    assert!(there && said.contains(&format!("`{}`", service("SLIPWAY_TEST_USER"))), "{said}");

    let host = service("SLIPWAY_TEST_REGISTRY");
    let (there, said) = registry(&Slipway::with(host, "wrong")).await;
    assert!(!there && said.contains("refused the login"), "{said}");

    // A port that was free a moment ago.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (there, said) = registry(&Slipway::with(&dead, "x")).await;
    assert!(!there && said.contains(&dead) && said.contains("did not answer"), "{said}");
}

/// A directory for `DOCKER_CONFIG`, with a helper that notes whom it is asked for and gives the test's account.
fn docker(config: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.json"), config).unwrap();
    let account = serde_json::json!({
        "ServerURL": "x",
        "Username": service("SLIPWAY_TEST_USER"),
        "Secret": service("SLIPWAY_TEST_PASSWORD"),
    });
    let helper = directory.path().join("docker-credential-planted");
    let asked = directory.path().join("asked");
    std::fs::write(&helper, format!("#!/bin/sh\ncat >>{}\necho '{account}'\n", asked.display())).unwrap();
    crate::services::run(Path::new("/"), &["chmod", "+x", helper.to_str().unwrap()]);
    directory
}

/// Slipway with a registry and no credentials but Docker's.
fn with(docker: &tempfile::TempDir, host: &str) -> Slipway {
    let path = format!("{}:{}", docker.path().display(), std::env::var("PATH").unwrap());
    let slipway = Slipway::new().env("DOCKER_CONFIG", docker.path().to_str().unwrap()).env("PATH", &path);
    slipway.replace_config(&format!("[registry]\nhost = {host:?}\n"));
    slipway
}

#[tokio::test]
async fn docker_s_helpers_and_files_are_asked_where_no_credentials_are_named() {
    let host = service("SLIPWAY_TEST_REGISTRY");
    let user = format!("`{}`", service("SLIPWAY_TEST_USER"));
    let helper = docker(&serde_json::json!({ "credHelpers": { host: "planted" } }).to_string());
    let (there, said) = registry(&with(&helper, host)).await;
    assert!(there && said.contains(&user), "{said}");
    assert_eq!(std::fs::read_to_string(helper.path().join("asked")).unwrap(), host);

    let store = docker(r#"{ "credsStore": "planted" }"#);
    let (there, said) = registry(&with(&store, host)).await;
    assert!(there && said.contains(&user), "{said}");

    let nothing = docker("{}");
    let (there, said) = registry(&with(&nothing, host)).await;
    assert!(!there && said.contains("there are no credentials"), "{said}");

    for broken in ["{ \"auths\": ", r#"{ "credsStore": "no-such-helper" }"#] {
        let (there, said) = registry(&with(&docker(broken), host)).await;
        assert!(!there && said.contains("Docker's `config.json` or its credential helper"), "{broken}: {said}");
    }
}

/// Docker keeps its hub's account by the address of an interface that is gone.
#[tokio::test]
async fn docker_hub_s_account_is_asked_for_by_docker_s_own_name_for_it() {
    let store = docker(r#"{ "credsStore": "planted" }"#);
    let _ = registry(&with(&store, "docker.io")).await;
    assert_eq!(std::fs::read_to_string(store.path().join("asked")).unwrap(), "https://index.docker.io/v1/");
}
