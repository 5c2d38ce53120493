//! 11: outages that look like refusals, where images are read.

use slipway::image::assembler::AssemblerBackend;
use slipway::image::{BuildContext, BuildSpec, ContextKind, ImageBackend as _};
use slipway::model::failure::FailureCode as Code;
use tokio_util::sync::CancellationToken;

use super::super::builds::config;
use super::super::ways::build;
use super::{copy, trade};

/// With its database away, Harbor knows nobody: a base image is not missing, and a password not wrong.
#[tokio::test(flavor = "multi_thread")]
async fn case_11_2_an_outage_is_told_from_a_refusal_where_images_are_read() {
    let (harbor, robot) = trade();
    let pushed = build("assembler", 64).await.push(&harbor, &robot, &["trade/base:1"]).await.unwrap();
    harbor.state().faults.database = true;
    let failure = copy(&harbor, (&robot, "trade/base:1"), (&robot, "trade/other:1")).await.unwrap_err();
    assert_eq!((failure.code, failure.retryable), (Code::RegistryUnavailable, true), "{failure}");

    let slipway = config(&harbor, &robot, "");
    let to = slipway.config().with_file_name("all.tar").display().to_string();
    let line = ["bundle", "export", "trade/base:1", "--output", &to].map(str::to_owned);
    let run = slipway.run(&line).await;
    assert!(run.code == 75 && run.stderr.contains("registry_unavailable"), "{}", run.text());

    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("context/layer-application")).unwrap();
    let kind = ContextKind::Generated { owned: Vec::new() };
    let context = BuildContext { root: directory.path().join("context"), kind };
    let from = format!("{}@{}", harbor.reference("trade/base").name(), pushed.digest);
    let mut spec = BuildSpec::new(context, format!("FROM {from}\nCOPY layer-application/ /\n"));
    let credentials = slipway::image::credentials::Credentials::password(&robot.0, &robot.1);
    spec.credentials.insert(harbor.host(), credentials);
    let backend = AssemblerBackend::new(directory.path().join("store"), None);
    let failure = backend.build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap_err();
    assert_eq!((failure.code, failure.retryable), (Code::RegistryUnavailable, true), "{failure}");
}
