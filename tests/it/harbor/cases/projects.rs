//! 3 and 4: robots and projects.

use slipway::harbor::NewProject;
use slipway::model::failure::FailureCode as Code;

use super::super::before::{READER, client};
use super::super::builds::config;
use super::super::ways::{both, build};
use super::trade;
use crate::support::harbor::{ADMIN, Harbor};

/// The prefix of robots is a setting of Harbor's, and changes the names of all at once.
#[tokio::test(flavor = "multi_thread")]
async fn case_3_1_a_changed_prefix_is_a_wrong_name() {
    let (harbor, robot) = trade();
    harbor.state().robot_prefix = "svc-".to_owned();
    let renamed = (robot.0.replace("robot$", "svc-"), robot.1.clone());
    for image in both(64).await {
        let failure = image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap_err();
        assert_eq!(failure.code, Code::RegistryUnauthorized, "{}: {failure}", image.way);
        image.push(&harbor, &renamed, &["trade/order:1"]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_3_3_a_robots_name_is_checked_before_harbor_breaks_on_it() {
    let harbor = Harbor::start();
    let project = "p".repeat(100);
    harbor.project(&project);
    let admin = (ADMIN.0.to_owned(), ADMIN.1.to_owned());
    let slipway = config(&harbor, &admin, "");
    let line =
        format!("harbor robots create {} --project {project} --credentials robot --show-secret", "r".repeat(155));
    let run = slipway.run(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).await;
    assert!(run.code == 1 && run.stderr.contains("255"), "{}", run.text());
    assert!(harbor.state().robots.is_empty());
}

/// A project that is called as a number is.
#[tokio::test(flavor = "multi_thread")]
async fn case_4_2_a_name_of_digits_is_a_name() {
    let harbor = Harbor::start();
    harbor.project("123");
    harbor.state().projects.get_mut("123").unwrap().limit = Some(1_000_000);
    let robot = harbor.robot("123", "push", READER);
    let client = client(&harbor, &robot);
    assert!(client.project("123").await.unwrap().is_some());
    assert_eq!(client.quota("123").await.unwrap().unwrap().limit, Some(1_000_000));
    build("assembler", 64).await.push(&harbor, &robot, &["123/order:1"]).await.unwrap();
    assert_eq!(client.artifacts("123", "order").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_4_3_only_an_administrators_limit_counts() {
    let harbor = Harbor::start();
    let robot = harbor.system_robot("maker", &[], &["project:create"]);
    let admin = (ADMIN.0.to_owned(), ADMIN.1.to_owned());
    for (account, name, limit) in [(&robot, "first", None), (&admin, "second", Some(50 << 30))] {
        let new = NewProject { name: name.to_owned(), limit: Some(50 << 30), ..NewProject::default() };
        assert!(client(&harbor, account).create_project(&new).await.unwrap());
        assert_eq!(harbor.state().projects[name].limit, limit, "{name}");
    }
}

/// Harbor answers a longer name with a bare 500.
#[tokio::test(flavor = "multi_thread")]
async fn case_7_10_a_name_is_checked_before_harbor_breaks_on_it() {
    let (harbor, robot) = trade();
    build("assembler", 64).await.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    let slipway = config(&harbor, &robot, "");
    for (length, code) in [(245 - "trade/".len(), 0), (246 - "trade/".len(), 1)] {
        let line = ["images", "promote", "trade/order:1", &format!("trade/{}:1", "x".repeat(length))];
        let run = slipway.run(&line.map(str::to_owned)).await;
        assert_eq!(run.code, code, "{}", run.text());
        assert_eq!(run.stderr.contains("245"), code == 1, "{}", run.text());
    }
}
