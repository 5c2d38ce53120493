//! `slipway harbor robots`: made with the least rights, secrets in files, re-keyed while builds run.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::Value;

use super::builds::config;
use super::cases::at_first;
use super::replay::Replay;
use crate::support::harbor::{ADMIN, Harbor, PROJECT_RIGHTS, SYSTEM_RIGHTS};
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

/// `slipway harbor robots`, as the account of these credentials.
pub(super) async fn robots(slipway: &Slipway, args: &str, credentials: &str) -> Run {
    let args = format!("harbor robots {args} --credentials {credentials} --format json");
    slipway.run(&args.split(' ').map(str::to_owned).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_gets_the_least_rights_and_its_secret_a_file() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let slipway = managed(&harbor);
    let store = slipway.config().with_file_name("store");
    let made = robots(&slipway, "create slipway --project trade --store trade", "robot").await;
    assert_eq!(made.code, 0, "{}", made.text());
    assert_eq!(made.report["robot"]["name"], "robot$trade+slipway");
    assert_eq!(made.report["robot"]["rights"], serde_json::json!(["repository:pull", "repository:push"]));
    let first = std::fs::read_to_string(&store).unwrap();
    assert!(made.report["secret"].is_null() && !made.stderr.contains(&first), "{}", made.text());
    assert_eq!(std::fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(harbor.state().robots[0].secret, first);

    let again = robots(&slipway, "create slipway --project trade --store trade", "robot").await;
    assert!(again.code == 1 && again.stderr.contains("rotate"), "{}", again.text());
    assert_eq!(std::fs::read_to_string(&store).unwrap(), first);

    let rotated = robots(&slipway, "rotate slipway --project trade --store trade", "robot").await;
    assert_eq!(rotated.code, 0, "{}", rotated.text());
    let second = std::fs::read_to_string(&store).unwrap();
    assert!(second != first && harbor.state().robots[0].secret == second);

    let listed = robots(&slipway, "list --project trade", "robot").await;
    assert_eq!(listed.report["robots"][0]["name"], "robot$trade+slipway", "{}", listed.text());
    assert_eq!(listed.report["robots"][0]["enabled"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_printed_only_where_that_is_asked_for() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let slipway = managed(&harbor);
    let nowhere = robots(&slipway, "create slipway --project trade", "robot").await;
    assert!(nowhere.code != 0 && nowhere.stderr.contains("--show-secret"), "{}", nowhere.text());
    assert!(harbor.state().robots.is_empty());
    let unwritable =
        robots(&slipway, "create slipway --project trade --secret-file /nonexistent/secret", "robot").await;
    assert!(unwritable.code != 0 && harbor.state().robots.is_empty(), "{}", unwritable.text());
    let shown = robots(&slipway, "create slipway --project trade --may push,inspect,scan --show-secret", "robot").await;
    assert_eq!(shown.report["secret"], harbor.state().robots[0].secret.as_str(), "{}", shown.text());
    let rights = shown.report["robot"]["rights"].as_array().unwrap().clone();
    assert!(rights.contains(&"quota:read".into()) && rights.contains(&"scan:create".into()), "{rights:?}");
    let system = robots(&slipway, "create everywhere --show-secret", "robot").await;
    assert_eq!(system.report["robot"]["name"], "robot$everywhere", "{}", system.text());
    let unknown = robots(&slipway, "rotate nobody --project trade --show-secret", "robot").await;
    assert!(unknown.code != 0 && unknown.stderr.contains("robot$trade+slipway"), "{}", unknown.text());
    let bad = robots(&slipway, "create Slip --project trade --show-secret", "robot").await;
    assert!(bad.code != 0 && bad.stderr.contains("lower-case"), "{}", bad.text());
    let missing = robots(&slipway, "create slip --project nosuch --show-secret", "robot").await;
    assert!(missing.code != 0 && missing.stderr.contains("registry_repository_missing"), "{}", missing.text());
}

/// The Harbor for tests knows the rights that a real one lists, and no others.
#[test]
fn rights_are_those_of_the_record() {
    let records = Replay::records();
    let record = records.iter().find(|record| record["id"] == "permissions").unwrap();
    let listed: Value = serde_json::from_str(record["response"]["body"].as_str().unwrap()).unwrap();
    for (level, known) in [("project", PROJECT_RIGHTS), ("system", SYSTEM_RIGHTS)] {
        let word = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
        let right = |entry: &Value| format!("{}:{}", word(entry, "resource"), word(entry, "action"));
        let listed: BTreeSet<String> = listed[level].as_array().unwrap().iter().map(right).collect();
        assert_eq!(listed, known.iter().map(|right| (*right).to_owned()).collect(), "{level}");
    }
}

/// A robot of the system makes projects where that is asked for, and none changes another robot.
#[tokio::test(flavor = "multi_thread")]
async fn a_robot_of_the_system_gets_what_is_asked_for() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let slipway = managed(&harbor);
    let creates = |name: &str| {
        let state = harbor.state();
        let robot = state.robots.iter().find(|robot| robot.name == name).unwrap();
        let permissions = robot.permissions.as_array().unwrap().iter();
        let all = permissions.flat_map(|permission| permission["access"].as_array().unwrap());
        all.into_iter().any(|right| right["resource"] == "project" && right["action"] == "create")
    };
    let reader = robots(&slipway, "create reader --may pull --show-secret", "robot").await;
    assert_eq!((reader.code, creates("reader")), (0, false), "{}", reader.text());
    let all = "push,pull,inspect,tag,label,scan,projects";
    let maker = robots(&slipway, &format!("create maker --may {all} --show-secret"), "robot").await;
    assert_eq!((maker.code, creates("maker")), (0, true), "{}", maker.text());
    let rights = maker.report["robot"]["rights"].as_array().unwrap();
    assert!(rights.contains(&"project:create".into()) && rights.contains(&"scan:create".into()), "{rights:?}");
    let nonsense = robots(&slipway, "create maker --project trade --may push,projects --show-secret", "robot").await;
    assert!(nonsense.code != 0 && nonsense.stderr.contains("leave out `--project`"), "{}", nonsense.text());

    let manager = harbor.system_robot("manager", &["robot:list", "project:read"], &["robot:create", "robot:list"]);
    let as_robot = config(&harbor, &manager, "");
    let made = robots(&as_robot, "create third --show-secret", "robot").await;
    assert_eq!(made.code, 0, "{}", made.text());
    let refused = robots(&as_robot, "rotate third --show-secret", "robot").await;
    assert!(refused.stderr.contains("registry_forbidden"), "{}", refused.text());
    assert!(refused.stderr.contains("Harbor lets no robot change another"), "{}", refused.text());
}

/// Who could read the old secret can read the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_replaced_keeps_owner_group_and_mode() {
    let harbor = Harbor::start();
    harbor.project("trade");
    harbor.robot("trade", "slipway", &["repository:push"]);
    let slipway = managed(&harbor);
    let store = slipway.config().with_file_name("store");
    std::fs::write(&store, "old").unwrap();
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o640)).unwrap();
    // As root a group of its own can be tried; else the one that it has must do.
    let group = if std::os::unix::fs::chown(&store, None, Some(12345)).is_ok() {
        12345
    } else {
        std::fs::metadata(&store).unwrap().gid()
    };
    let rotated = robots(&slipway, "rotate slipway --project trade --store trade", "robot").await;
    assert_eq!(rotated.code, 0, "{}", rotated.text());
    assert_eq!(std::fs::read_to_string(&store).unwrap(), harbor.state().robots[0].secret);
    let now = std::fs::metadata(&store).unwrap();
    assert_eq!((now.permissions().mode() & 0o777, now.gid()), (0o640, group));
}

/// Harbor has the new secret, and its file cannot be put in place: it is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_put_in_place_is_kept_beside() {
    let harbor = Harbor::start();
    harbor.project("trade");
    harbor.robot("trade", "slipway", &["repository:push"]);
    let slipway = managed(&harbor);
    let store = slipway.config().with_file_name("store");
    let place = store.clone();
    at_first(&harbor, &["PATCH", "/robots/"], move |_| {
        std::fs::create_dir(&place).unwrap();
        None
    });
    let rotated = robots(&slipway, "rotate slipway --project trade --store trade", "robot").await;
    assert_ne!(rotated.code, 0, "{}", rotated.text());
    let beside = std::fs::read_dir(store.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let kept = beside.filter(|path| path.display().to_string().contains(".slipway-secret-")).collect::<Vec<_>>();
    assert_eq!(std::fs::read_to_string(&kept[0]).unwrap(), harbor.state().robots[0].secret);
    assert!(rotated.stderr.contains(&kept[0].display().to_string()), "{}", rotated.text());
}

/// Names of robots are one page, then a second.
#[tokio::test(flavor = "multi_thread")]
async fn more_robots_than_a_page_are_listed() {
    let harbor = Harbor::start();
    harbor.project("trade");
    for number in 0..101 {
        harbor.robot("trade", &format!("r{number}"), &["repository:pull"]);
    }
    let listed = robots(&managed(&harbor), "list --project trade", "robot").await;
    assert_eq!(listed.report["robots"].as_array().map(Vec::len), Some(101), "{}", listed.stderr);
}
