//! `slipway harbor robots`: made with the least rights, secrets in files, re-keyed while builds run.

use std::os::unix::fs::PermissionsExt as _;

use super::builds::config;
use crate::support::harbor::{ADMIN, Harbor};
use crate::support::slipway::{Run, Slipway};

/// A configuration whose account for robots is the administrator, and whose robot has a file for its secret.
fn managed(harbor: &Harbor) -> Slipway {
    let admin = (ADMIN.0.to_owned(), ADMIN.1.to_owned());
    let slipway = config(harbor, &admin, "");
    let text = std::fs::read_to_string(slipway.config()).unwrap();
    let store = slipway.config().with_file_name("store");
    slipway.replace_config(&format!(
        "{text}[credentials.trade]\nusername = \"robot$trade+slipway\"\npassword = {{ file = {:?} }}\nhosts = [{:?}]\n",
        store.display().to_string(),
        harbor.host()
    ));
    slipway
}

async fn robots(slipway: &Slipway, args: &str) -> Run {
    let args = format!("harbor robots {args} --credentials robot --format json");
    slipway.run(&args.split(' ').map(str::to_owned).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_gets_the_least_rights_and_its_secret_a_file() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let slipway = managed(&harbor);
    let store = slipway.config().with_file_name("store");
    let made = robots(&slipway, "create slipway --project trade --store trade").await;
    assert_eq!(made.code, 0, "{}", made.text());
    assert_eq!(made.report["robot"]["name"], "robot$trade+slipway");
    assert_eq!(made.report["robot"]["rights"], serde_json::json!(["repository:pull", "repository:push"]));
    let first = std::fs::read_to_string(&store).unwrap();
    assert!(made.report["secret"].is_null() && !made.stderr.contains(&first), "{}", made.text());
    assert_eq!(std::fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(harbor.state().robots[0].secret, first);

    let again = robots(&slipway, "create slipway --project trade --store trade").await;
    assert!(again.code == 1 && again.stderr.contains("rotate"), "{}", again.text());
    assert_eq!(std::fs::read_to_string(&store).unwrap(), first);

    let rotated = robots(&slipway, "rotate slipway --project trade --store trade").await;
    assert_eq!(rotated.code, 0, "{}", rotated.text());
    let second = std::fs::read_to_string(&store).unwrap();
    assert!(second != first && harbor.state().robots[0].secret == second);

    let listed = robots(&slipway, "list --project trade").await;
    assert_eq!(listed.report["robots"][0]["name"], "robot$trade+slipway", "{}", listed.text());
    assert_eq!(listed.report["robots"][0]["enabled"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_printed_only_where_that_is_asked_for() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let slipway = managed(&harbor);
    let nowhere = robots(&slipway, "create slipway --project trade").await;
    assert!(nowhere.code != 0 && nowhere.stderr.contains("--show-secret"), "{}", nowhere.text());
    assert!(harbor.state().robots.is_empty());
    let unwritable = robots(&slipway, "create slipway --project trade --secret-file /nonexistent/secret").await;
    assert!(unwritable.code != 0 && harbor.state().robots.is_empty(), "{}", unwritable.text());
    let shown = robots(&slipway, "create slipway --project trade --may push,inspect,scan --show-secret").await;
    assert_eq!(shown.report["secret"], harbor.state().robots[0].secret.as_str(), "{}", shown.text());
    let rights = shown.report["robot"]["rights"].as_array().unwrap().clone();
    assert!(rights.contains(&"quota:read".into()) && rights.contains(&"scan:create".into()), "{rights:?}");
    let system = robots(&slipway, "create everywhere --show-secret").await;
    assert_eq!(system.report["robot"]["name"], "robot$everywhere", "{}", system.text());
    let unknown = robots(&slipway, "rotate nobody --project trade --show-secret").await;
    assert!(unknown.code != 0 && unknown.stderr.contains("robot$trade+slipway"), "{}", unknown.text());
    let bad = robots(&slipway, "create Slip --project trade --show-secret").await;
    assert!(bad.code != 0 && bad.stderr.contains("lower-case"), "{}", bad.text());
    let missing = robots(&slipway, "create slip --project nosuch --show-secret").await;
    assert!(missing.code != 0 && missing.stderr.contains("registry_repository_missing"), "{}", missing.text());
}

/// Names of robots are one page, then a second.
#[tokio::test(flavor = "multi_thread")]
async fn more_robots_than_a_page_are_listed() {
    let harbor = Harbor::start();
    harbor.project("trade");
    for number in 0..101 {
        harbor.robot("trade", &format!("r{number}"), &["repository:pull"]);
    }
    let listed = robots(&managed(&harbor), "list --project trade").await;
    assert_eq!(listed.report["robots"].as_array().map(Vec::len), Some(101), "{}", listed.stderr);
}
