//! What the server answers is what its description says, whatever it is asked.

use std::path::Path;

use super::site::Site;
use crate::services::run;

/// The version that these checks were chosen for.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: asks every endpoint some thousand times, and fetches the program that does"]
async fn every_answer_is_as_the_description_says() {
    let site = Site::new(&[
        ("SERVER__REQUESTS_PER_SECOND", "1000000"),
        // What is asked for is hostile or nonsense; none of it is to be built.
        ("WORKER__LANES", "{ interactive = 0, bulk = 0 }"),
    ])
    .await;
    let server = site.start().await;
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let program = venv.join("bin/schemathesis");
    if !program.is_file() {
        run(Path::new("/"), &["python3", "-m", "venv", venv.to_str().unwrap()]);
        run(Path::new("/"), &[venv.join("bin/pip").to_str().unwrap(), "install", "--quiet", SCHEMATHESIS]);
    }
    let output = tokio::process::Command::new(program)
        .args(["run", &format!("{}/api/v1/openapi.json", server.url)])
        .args(["--header", &format!("Authorization: Bearer {}", site.token())])
        .args(["--max-examples", "30", "--phases", "examples,coverage,fuzzing", "--continue-on-failure"])
        // Names and patterns have rules that the description does not spell out; a token is made by one of the calls,
        // and removing the caller's own would end the run.
        .args(["--exclude-checks", "positive_data_acceptance", "--suppress-health-check", "all"])
        .current_dir(site.state.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        said.chars().rev().take(6000).collect::<String>().chars().rev().collect::<String>()
    );
    assert_eq!(server.ask("GET", "/livez", None, None).await.status, 200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
