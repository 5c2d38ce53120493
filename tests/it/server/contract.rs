//! What the server answers is what its description says, whatever it is asked.

use std::time::Duration;

use serde_json::json;

use super::site::{Server, Site, push};
use crate::services::service;
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// `SLIPWAY_SEED` takes its place.
const SEED: &str = "20261122";

/// It takes less than a minute; more, and something hangs.
const PATIENCE: Duration = Duration::from_mins(4);

/// Makes what there is to ask for, and a file that says so: half of what is asked is there, half is made up.
async fn known(site: &Site, server: &Server) -> String {
    let (good, bad) = (Repository::script("echo fine\n"), Repository::script("exit 3\n"));
    let mut ids = Vec::new();
    for (repository, state, kind) in [(&good, "succeeded", "service"), (&bad, "failed", "library")] {
        for ports in [json!([8080]), json!([8081])] {
            site.application(server, repository, json!({ "kind": kind, "runtime": { "ports": ports } })).await;
        }
        let answer = server.hook(&push(repository, "main", "known"), &repository.name).await;
        let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
        site.until(server, &id, state).await;
        ids.push(id);
    }
    let values = |name: &str, values: &[String]| {
        format!("[dictionaries.{name}]\nvalues = {}\n", serde_json::to_string(values).unwrap())
    };
    let text = [
        values("ids", &ids),
        values("product_lines", &[PRODUCT_LINE.to_owned()]),
        values("names", &[good.name.clone(), bad.name.clone()]),
        "[parameters]\n".to_owned(),
        "\"path.id\" = { dictionary = \"ids\", probability = 0.5 }\n".to_owned(),
        "\"path.product_line\" = { dictionary = \"product_lines\", probability = 0.8 }\n".to_owned(),
        "\"path.name\" = { dictionary = \"names\", probability = 0.8 }\n".to_owned(),
        // What the others ask for is there to the end.
        "[[operations]]\ninclude-operation-id = \"removeApplication\"\nparameters = { \"path.name\" = \"gone\" }\n"
            .to_owned(),
    ];
    let path = site.state.path().join("schemathesis.toml");
    std::fs::write(&path, text.concat()).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_description_says() {
    let site = Site::new(&[("SERVER__REQUESTS_PER_SECOND", "1000000")]).await;
    let mut server = site.start().await;
    let config = known(&site, &server).await;
    server.signal("TERM");
    server.end().await;
    // What is asked for from here on is nonsense; none of it is built.
    let server = site.start_with(&[("WORKER__LANES", "{ interactive = 0, bulk = 0 }")]).await;
    let seed = std::env::var("SLIPWAY_SEED").unwrap_or(SEED.to_owned());
    let asked = tokio::process::Command::new(service("SLIPWAY_TEST_SCHEMATHESIS"))
        .args(["--config-file", &config, "run", &format!("{}/api/v1/openapi.json", server.url)])
        .args(["--header", &format!("Authorization: Bearer {}", site.token())])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", &seed])
        .args(["--continue-on-failure", "--suppress-health-check", "all", "--generation-database", "none"])
        // Names, patterns and URLs have rules that the description does not spell out.
        .args(["--exclude-checks", "positive_data_acceptance", "--no-color"])
        .current_dir(site.state.path())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, asked).await.expect("it ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let from = said.len().saturating_sub(8000);
    let last = said.char_indices().find(|(at, _)| *at >= from).map_or("", |(at, _)| &said[at..]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "SLIPWAY_SEED={seed}\n{last}\n{errors}");
    // It did ask: a run that selects nothing would succeed as well.
    assert!(said.contains("Tested: ") && said.contains("Test cases:"), "{last}");
    assert_eq!(server.ask("GET", "/livez", None, None).await.status, 200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
