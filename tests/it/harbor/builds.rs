//! Builds by the program: what cannot be pushed is not compiled.

use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::oneshot;

use super::before::READER;
use super::refused::release_rule;
use super::ways::build;
use crate::support::harbor::Harbor;
use crate::support::harbor::state::Instead;
use crate::support::slipway::{PRODUCT_LINE, Run, Slipway};

/// A configuration with nothing but the registry.
pub(super) fn config(harbor: &Harbor, (username, password): &(String, String), more: &str) -> Slipway {
    let slipway = Slipway::new();
    let host = harbor.host();
    let secret = slipway.config().with_file_name("robot");
    std::fs::write(&secret, password).unwrap();
    slipway.replace_config(&format!(
        "[registry]\nhost = {host:?}\ncredentials = \"robot\"\n\
         [credentials.robot]\nusername = {username:?}\npassword = {{ file = {:?} }}\nhosts = [{host:?}]\n{more}",
        secret.display().to_string()
    ));
    slipway
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/projects/go-main-below-cmd")
}

/// What the doctor says of the test's product line.
async fn doctor(slipway: &Slipway, more: &str) -> Value {
    let line = format!("doctor --format json --product-line {PRODUCT_LINE} {more}");
    slipway.run(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).await.report
}

pub(super) async fn push(slipway: &Slipway, tag: &str) -> Run {
    slipway.build(&project(), &["--push", "--name", "order", "--tag", tag].map(str::to_owned)).await
}

fn steps(run: &Run) -> Vec<&str> {
    let steps = run.report["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().filter_map(|step| step["step"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_pushed_is_not_compiled() {
    let harbor = Harbor::start();
    harbor.project(PRODUCT_LINE);
    let reader = harbor.robot(PRODUCT_LINE, "pull", &["repository:pull"]);
    let wrong = (reader.0.clone(), "Wrong12345".to_owned());
    for (account, code) in [(&reader, "registry_forbidden"), (&wrong, "registry_unauthorized")] {
        let run = push(&config(&harbor, account, ""), "1").await;
        assert_eq!(run.failure()["code"], code, "{}", run.stderr);
        assert_eq!(run.failure()["step"], "push");
        assert_eq!(steps(&run), ["checkout", "plan"]);
        assert!(!run.stderr.contains(&account.1));
    }
}

/// Neither a full project nor an account that is not there costs ten minutes of Maven; the doctor says the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_room_or_no_account_is_not_compiled() {
    let harbor = Harbor::start();
    harbor.project(PRODUCT_LINE);
    harbor.state().projects.get_mut(PRODUCT_LINE).unwrap().limit = Some(0);
    let robot = harbor.robot(PRODUCT_LINE, "push", READER);
    let full = config(&harbor, &robot, "");
    let nobody = Slipway::new();
    nobody.replace_config(&format!("[registry]\nhost = {:?}\n", harbor.host()));
    for (slipway, code) in [(&full, "registry_quota_exceeded"), (&nobody, "registry_unauthorized")] {
        let run = push(slipway, "1").await;
        assert_eq!((run.failure_code(), steps(&run)), (code, vec!["checkout", "plan"]), "{}", run.text());
        let line = finding(&doctor(slipway, "").await);
        assert_eq!((&line["there"], &line["detail"]), (&false.into(), &run.failure()["message"]), "{line}");
    }
}

/// The doctor of an application sees its last image and the tags that a rule fixes.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_of_an_application_sees_its_last_image_and_fixed_tags() {
    let harbor = Harbor::start();
    harbor.project(PRODUCT_LINE);
    harbor.state().projects.get_mut(PRODUCT_LINE).unwrap().immutable.push(release_rule());
    let robot = harbor.robot(PRODUCT_LINE, "push", READER);
    let name = format!("{PRODUCT_LINE}/order:rel-1");
    build("assembler", 2_000_000).await.push(&harbor, &robot, &[&name]).await.unwrap();
    let slipway = config(&harbor, &robot, "");
    let what = format!("images of {PRODUCT_LINE}/order");
    let line = |report: &Value| report.as_array().unwrap().iter().find(|one| one["what"] == what).unwrap().clone();
    let good = line(&doctor(&slipway, "--name order --tag 2").await);
    assert_eq!(good["there"], true, "{good}");
    assert!(good["detail"].as_str().unwrap().contains("the last image has 2 MB"), "{good}");
    let fixed = line(&doctor(&slipway, "--name order --tag 2 --tag rel-1").await);
    assert_eq!(fixed["there"], false, "{fixed}");
    assert!(fixed["detail"].as_str().unwrap().contains("holds the tag `rel-1`"), "{fixed}");
}

/// One configuration serves product lines that have a project robot each.
#[tokio::test(flavor = "multi_thread")]
async fn each_product_line_pushes_with_its_own_robot() {
    let harbor = Harbor::start();
    let lines = [PRODUCT_LINE, "slipway-other"];
    let robots = lines.map(|line| {
        harbor.project(line);
        harbor.robot(line, "push", &["repository:push"])
    });
    let host = harbor.host();
    let own = |index: usize| {
        let (name, variable) = [("a-line", "ROBOT_A"), ("b-line", "ROBOT_B")][index];
        format!(
            "[credentials.{name}]\nusername = {:?}\npassword = {{ env = {variable:?} }}\nhosts = [{host:?}]\nproduct_lines = [{:?}]\n",
            robots[index].0, lines[index]
        )
    };
    // Everybody's credentials are not taken for a push unless they are named for it.
    let admin = format!(
        "[credentials.a-admin]\nusername = \"admin\"\npassword = {{ env = \"NOBODY_SET_THIS\" }}\nhosts = [{host:?}]\n"
    );
    for named in ["", "credentials = \"a-line\"\n"] {
        let slipway = Slipway::new();
        slipway.replace_config(&format!(
            "[registry]\nhost = {host:?}\n{named}{}{}{admin}[build]\nimage_backend = \"assembler\"\n",
            own(0),
            own(1)
        ));
        let slipway = slipway.env("ROBOT_A", &robots[0].1).env("ROBOT_B", &robots[1].1);
        for line in lines {
            let tag = format!("t{}", named.len());
            let words = format!("build --format json --push --name order --tag {tag} --product-line {line}");
            let mut args: Vec<String> = words.split(' ').map(str::to_owned).collect();
            args.push(project().display().to_string());
            let run = slipway.run(&args).await;
            assert_eq!(run.report["outcome"], "succeeded", "{line}: {}", run.text());
            assert!(harbor.state().repository(&format!("{line}/order")).unwrap().tags.contains_key(&tag), "{line}");
        }
        let none = slipway.run(&["images", "list", "slipway-third/order"].map(str::to_owned)).await;
        assert!(none.code != 0 && !none.stderr.contains("NOBODY_SET_THIS"), "{}", none.text());
    }
}

/// A site that takes the connection and never answers fails its copy, not the build that was pushed.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_hangs_fails_its_copy_alone() {
    let harbor = Harbor::start();
    harbor.project(PRODUCT_LINE);
    let robot = harbor.robot(PRODUCT_LINE, "push", &["repository:push"]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let more = format!(
        "[[registry.copies]]\nhost = {:?}\n[limits.steps]\npush = \"10s\"\n[build]\nimage_backend = \"assembler\"\n",
        silent.local_addr().unwrap().to_string()
    );
    let run = push(&config(&harbor, &robot, &more), "1").await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.text());
    let copy = &run.report["image"]["copies"][0];
    assert_eq!(copy["failure"]["code"], "registry_unavailable", "{copy}");
    assert!(copy["failure"]["message"].as_str().unwrap().contains("when the build's time was over"), "{copy}");
    assert!(run.report["warnings"].to_string().contains("registry_copy_failed"), "{}", run.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_project_is_made_where_the_operator_wants_that() {
    let harbor = Harbor::start();
    let maker = harbor.system_robot("slipway", &["repository:push"], &["project:create"]);
    let run = push(&config(&harbor, &maker, ""), "1").await;
    assert_eq!(run.failure()["code"], "registry_repository_missing", "{}", run.stderr);
    assert!(run.failure()["hint"].as_str().unwrap().contains("[registry.projects]"), "{}", run.report);
    assert!(!harbor.state().projects.contains_key(PRODUCT_LINE));
    let wanted = "[registry.projects]\ncredentials = \"robot\"\nmetadata = { auto_scan = \"true\" }\n";
    let slipway = config(&harbor, &maker, wanted);
    let doctor = slipway.run(&["doctor", "--format", "json", "--product-line", PRODUCT_LINE].map(str::to_owned)).await;
    let line = finding(&doctor.report);
    assert!(line["detail"].as_str().unwrap().contains("the first push makes it"), "{line}");
    let run = push(&slipway, "1").await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.stderr);
    let _ = std::process::Command::new("docker")
        .args(["image", "rm", "--force", &format!("{}/{PRODUCT_LINE}/order:1", harbor.host())])
        .output();
    let doctor = slipway.run(&["doctor", "--format", "json", "--product-line", PRODUCT_LINE].map(str::to_owned)).await;
    assert_eq!(finding(&doctor.report)["there"], true, "{}", doctor.report);
    assert_eq!(harbor.state().projects[PRODUCT_LINE].metadata["auto_scan"], "true");
}

/// Eight programs find no project, and each makes it before any of them knows of another.
#[tokio::test(flavor = "multi_thread")]
async fn eight_programs_at_once_push_into_a_project_that_none_has_made() {
    let harbor = Harbor::start();
    let maker = harbor.system_robot("slipway", &["repository:push"], &["project:create"]);
    let more = "[registry.projects]\ncredentials = \"robot\"\n\
                [build]\nimage_backend = \"assembler\"\nown_dockerfiles = true\nstart_check = { enabled = false }\n";
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    // No project is made until all eight want it.
    let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
    harbor.state().when = Some(Box::new(move |_, line, _| {
        if line != "POST /api/v2.0/projects" {
            return None;
        }
        let (release, released) = oneshot::channel();
        waiting.push(release);
        if waiting.len() == 8 {
            waiting.drain(..).for_each(|release| release.send(()).unwrap());
        }
        Some(Instead::Held(released))
    }));
    let programs: Vec<Slipway> = (0..8).map(|_| config(&harbor, &maker, more)).collect();
    let runs = programs.iter().enumerate().map(|(number, slipway)| {
        let args = ["--push", "--name", &format!("order-{number}"), "--tag", "1"].map(str::to_owned);
        let path = directory.path();
        async move { slipway.build(path, &args).await }
    });
    let runs = join_all(runs).await;
    let failed: Vec<String> = runs.iter().filter(|run| run.report["outcome"] != "succeeded").map(Run::text).collect();
    let lines = harbor.requests();
    assert!(failed.is_empty(), "{}\n{lines:#?}", failed.join("\n"));
    let state = harbor.state();
    assert_eq!(state.projects.keys().filter(|name| *name == PRODUCT_LINE).count(), 1);
    for number in 0..8 {
        let repository = state.repository(&format!("{PRODUCT_LINE}/order-{number}")).unwrap();
        assert!(repository.tags.contains_key("1"), "order-{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_image_is_copied_and_a_registry_that_is_away_delays_only_itself() {
    let (harbor, site) = (Harbor::start(), Harbor::start());
    let accounts = [&harbor, &site].map(|harbor| {
        harbor.project(PRODUCT_LINE);
        harbor.robot(PRODUCT_LINE, "push", &["repository:push", "repository:pull"])
    });
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), &accounts[1].1).unwrap();
    let host = site.host();
    let copies = |required: bool| {
        format!(
            "[credentials.site]\nusername = {:?}\npassword = {{ file = {:?} }}\nhosts = [{host:?}]\n\
             [[registry.copies]]\nhost = {host:?}\ncredentials = \"site\"\n\
             [[registry.copies]]\nhost = \"127.0.0.1:9\"\nrequired = {required}\n\
             [[registry.copies]]\nhost = \"127.0.0.1:10\"\nproduct_lines = [\"another\"]\n",
            accounts[1].0,
            secret.path()
        )
    };
    let run = push(&config(&harbor, &accounts[0], &copies(false)), "1").await;
    assert_eq!(run.report["outcome"], "succeeded", "{}", run.stderr);
    let image = &run.report["image"];
    let [there, away]: [Value; 2] = image["copies"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!(there["references"][0], format!("{host}/{PRODUCT_LINE}/order:1"));
    assert_eq!(away["failure"]["code"], "registry_unavailable", "{away}");
    let arrived = site.state().repository(&format!("{PRODUCT_LINE}/order")).unwrap().tags["1"].clone();
    assert_eq!(image["digest"], arrived);
    let warned = run.report["warnings"].as_array().unwrap().iter().find(|one| one["code"] == "registry_copy_failed");
    assert!(warned.unwrap()["message"].as_str().unwrap().contains("127.0.0.1:9"), "{}", run.report);

    let run = push(&config(&harbor, &accounts[0], &copies(true)), "1").await;
    assert_eq!((&run.report["outcome"], &run.failure()["code"]), (&"failed".into(), &"registry_unavailable".into()));
    let _ = std::process::Command::new("docker")
        .args(["image", "rm", "--force", &format!("{}/{PRODUCT_LINE}/order:1", harbor.host())])
        .output();
}

/// What the doctor says of the product line.
fn finding(findings: &Value) -> Value {
    let all = findings.as_array().unwrap();
    all.iter().find(|one| one["what"] == format!("images of {PRODUCT_LINE}")).unwrap().clone()
}
