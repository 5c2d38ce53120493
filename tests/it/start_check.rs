//! Built images are started once: what crashes fails its build, what lacks a service is warned of, nothing stays behind.

use std::process::Command;

use serde_json::Value;

use crate::support::project::Project;
use crate::support::slipway::{Run, Slipway};

/// Builds an image whose application is a shell script.
async fn build(slipway: &Slipway, script: &str) -> Run {
    let settings = "[runtime]\ncommand = [\"sh\", \"/app/run\"]\nports = [8080]\n";
    let project = Project::new("started", &[("output/run", script), ("slipway.toml", settings)]);
    project.commit();
    slipway.build(&project.path(), &[]).await
}

fn codes(run: &Run) -> Vec<&str> {
    run.report["warnings"].as_array().into_iter().flatten().filter_map(|warning| warning["code"].as_str()).collect()
}

/// Containers of the build that are still there.
fn left(run: &Run) -> String {
    let build = format!("label=slipway.build={}", run.report["id"].as_str().unwrap_or_default());
    let listed = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &build]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout).into_owned()
}

#[tokio::test]
async fn a_crash_fails_the_build_with_the_applications_words() {
    let run = build(&Slipway::new(), "echo 'panic: no such tide' >&2\nexit 3\n").await;
    assert_eq!(run.failure_code(), "application_does_not_start", "{}", run.text());
    assert_eq!(run.failure()["blame"], "project");
    assert_eq!(run.failure()["step"], "image");
    assert!(run.failure()["message"].as_str().unwrap().contains("exit code 3"), "{}", run.text());
    assert_eq!(run.failure()["log_tail"], serde_json::json!(["panic: no such tide"]), "{}", run.text());
    assert_eq!(left(&run), "");
}

#[tokio::test]
async fn a_server_whose_worker_dies_after_it_listens_does_not_start() {
    // As gunicorn does: the parent listens at once, and ends when its worker cannot load the application.
    let server = "use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 5, LocalPort => 8080) or die $!; \
                  my $end = time() + 2; while (time() < $end) {} die qq(worker failed to boot\\n);";
    let run = build(&Slipway::new(), &format!("exec perl -e '{server}'\n")).await;
    assert_eq!(run.failure_code(), "application_does_not_start", "{}", run.text());
    assert_eq!(run.failure()["log_tail"], serde_json::json!(["worker failed to boot"]), "{}", run.text());
    assert_eq!(left(&run), "");
}

#[tokio::test]
async fn a_missing_service_is_a_warning() {
    let run = build(&Slipway::new(), "echo 'dial tcp 10.0.0.7:5432: connect: connection refused'\nexit 1\n").await;
    assert_eq!((run.code, run.failure()), (0, &Value::Null), "{}", run.text());
    assert!(codes(&run).contains(&"needs_a_service"), "{}", run.text());
    assert_eq!(left(&run), "");
}

#[tokio::test]
async fn what_runs_is_stopped_and_the_operator_may_leave_the_check_out() {
    let run = build(&Slipway::new().env("SLIPWAY__BUILD__START_CHECK__TIME", "1s"), "exec sleep 600\n").await;
    assert_eq!(run.code, 0, "{}", run.text());
    assert_eq!(left(&run), "");
    let run = build(&Slipway::new().env("SLIPWAY__BUILD__START_CHECK__ENABLED", "false"), "exit 3\n").await;
    assert_eq!(run.code, 0, "{}", run.text());
}
