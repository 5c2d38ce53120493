//! What the recording had set up between its records.

use sha2::{Digest as _, Sha256};

use super::replay::{HexOf, Replay};
use crate::support::harbor::state::{Faults, Project, Scanned};

/// Of a manifest and of its layer, as recorded.
type Digests = Option<(&'static str, &'static str)>;

/// Images that are there before a record: its id, the names, and the digests that later records call them and their layer
/// by (a beginning is enough).
const IMAGES: &[(&str, &str, Digests)] = &[
    ("mount-cross-public-project-robot-bearer", "library/base:v1", Some(("", "3ade"))),
    ("mount-cross-public-project-robot-bearer", "priv/base:v1", Some(("", "7cf5"))),
    ("referrers-empty", "slip/sig:v1", Some(("35b1", ""))),
    ("reponame-encoding-double", "slip/web/api:v1", Some(("20e4", ""))),
    ("reponame-encoding-double", "slip/web/api:v2", Some(("ee8e", ""))),
    ("blob-delete-in-use", "slip/del:v1", Some(("", "df10"))),
    ("blob-delete-in-use", "slip/del:w1", Some(("b492", "1d08"))),
    ("scan-start-clean", "slip/clean:v1", Some(("ea30", ""))),
    ("scan-start-clean", "slip/crit:v1", Some(("1e7e", "e55c"))),
    ("scan-start-clean", "slip/fail:v1", None),
    ("scan-start-clean", "slip/slow:v1", None),
    ("scan-start-clean", "slip/slow:v2", None),
    ("scan-start-clean", "slip/unscanned:v1", None),
    ("prevent-vul-head-by-digest", "slip/multi:child", None),
];

/// Brings about what was so when a record was made.
pub(super) async fn before(replay: &mut Replay, id: &str) {
    {
        let mut state = replay.harbor.state();
        state.faults = Faults {
            refusals_break: true,
            database: id.starts_with("fault-db-down"),
            core: id.starts_with("fault-core-down"),
            registry: id.starts_with("fault-registry-down"),
            disk_full: id.starts_with("fault-disk-full"),
            redis: id.starts_with("fault-redis-down"),
            // The recorded one had none.
            portal: true,
            late: id == "fault-db-down-health",
        };
        match id {
            "v2-unauth" => state.scanner = false,
            "scanner-create" => state.scanner = true,
            _ => {}
        }
        state.admin_only = id.ends_with("adminonly");
        match id {
            "token-robot-exp" => {
                state.robots.iter_mut().filter(|robot| robot.name == "slip+exp").for_each(|robot| robot.expired = true);
            }
            "mount-over-quota" => {
                state.create("quo2", Project { limit: Some(1000), ..Project::default() });
            }
            "member-add" => {
                state.users.insert("dev1".to_owned(), "Developer1".to_owned());
            }
            "project-create-user-adminonly" => "robot$".clone_into(&mut state.robot_prefix),
            "project-delete-empty" => {
                state.create("racep", Project::default());
            }
            "summary-robot-project-read-quota-read" => {
                state.create("demo", Project::default());
            }
            "prevent-vul-head-ua-slipway" | "fault-registry-down-token" | "prevent-vul-head-by-digest" => {
                let on = if id.starts_with("prevent") { "true" } else { "false" };
                let metadata = &mut state.projects.get_mut("slip").unwrap().metadata;
                metadata.insert("prevent_vul".to_owned(), on.to_owned());
                metadata.insert("enable_content_trust_cosign".to_owned(), "false".to_owned());
            }
            // Raised by what the manifest needs, as the summary after it shows.
            "quota-manifest-fits-exactly" => {
                state.projects.get_mut("quo").unwrap().limit = Some(99_805);
            }
            "scan-start-clean" => {
                let found = [("CVE-1", "Critical"), ("CVE-2", "Low")]
                    .map(|(id, severity)| (id.to_owned(), severity.to_owned()));
                state.findings.insert("slip/crit".to_owned(), Scanned::Found(found.to_vec()));
                state.findings.insert("slip/fail".to_owned(), Scanned::Failed);
                state.findings.insert("slip/slow".to_owned(), Scanned::Running);
            }
            "mount-cross-public-project-robot-bearer" => {
                state.create("priv", Project::default());
            }
            _ => {}
        }
    }
    if id == "scan-stop" {
        let scan = replay.request("POST", "/api/v2.0/projects/slip/repositories/slow/artifacts/v2/scan").send().await;
        assert_eq!(scan.unwrap().status(), 202);
    }
    if id == "quota-update" {
        let quota = replay.harbor.state().projects["quo"].id.to_string();
        replay.known.insert("projects/6".to_owned(), quota);
    }
    robots(replay, id);
    for (_, name, digests) in IMAGES.iter().filter(|(first, ..)| *first == id) {
        let live = image(replay, name, digests.map(|(_, layer)| layer)).await;
        if let Some((recorded, _)) = digests.filter(|(recorded, _)| !recorded.is_empty()) {
            let recorded = whole(recorded);
            replay.known.insert(recorded, live.clone());
        }
        if *name == "slip/multi:child" {
            index(replay, &live).await;
        }
    }
}

/// The token that a placeholder stands for.
pub(super) async fn token(replay: &Replay, id: &str, name: &str, target: &str) -> String {
    let repository = target.trim_start_matches('/').trim_start_matches("v2/").trim_start_matches('/');
    let own = repository.split(['/', '?']).next().unwrap_or_default();
    let own = format!("{own}/x");
    let from = target.split("from=").nth(1).filter(|_| !id.contains("lacks-source")).map(str::to_owned);
    let scopes: Vec<&str> = std::iter::once(own.as_str()).chain(from.as_deref()).collect();
    let account = match name {
        "anonymous token" => None,
        "admin token" => Some("admin"),
        "token got with bad secret" | "token of badsecret" => Some("nobody"),
        name if name.starts_with("token of ") => {
            return replay.token(Some(&format!("robot$slip+{}", &name[9..])), &scopes).await;
        }
        "robot$two" | "r$two, both scopes" | "robot$two, both scopes" => Some("robot$two"),
        "token without push" => Some("robot$slip+pull"),
        _ if own.starts_with("slip/")
            || own.starts_with("nosuch/")
            || own.starts_with("library/")
            || own.starts_with("priv/") =>
        {
            Some("robot$slip+push")
        }
        _ => Some("robot$sys"),
    };
    let account = match id {
        _ if id.contains("delete") && !id.contains("norights") && !target.contains("/uploads/") => Some("admin"),
        _ => account,
    };
    let scopes = if name == "token without scope" || id == "v2-bearer-noscope" { Vec::new() } else { scopes };
    let token = replay.token(account, &scopes).await;
    let age = match id {
        "token-expired-within-leeway" => 2,
        _ if id.starts_with("token-expired") => 65,
        _ => 0,
    };
    replay.harbor.state().age(&token, age);
    if id == "token-from-before-project-created" {
        replay.harbor.state().create("late", Project::default());
    }
    token
}

/// Sends a blob as the administrator; gives its digest's digits.
pub(super) async fn blob(replay: &Replay, repository: &str, content: Vec<u8>) -> String {
    let digest = format!("{:x}", HexOf(&Sha256::digest(&content)));
    let project = repository.split('/').next().unwrap();
    // What was not recorded counts for nothing.
    let limit = replay.harbor.state().projects.get_mut(project).unwrap().limit.take();
    let begun = replay.request("POST", &format!("/v2/{repository}/blobs/uploads/")).send().await.unwrap();
    let location = begun.headers().get("location").unwrap().to_str().unwrap().to_owned();
    let path = location.split_once("/v2/").map(|(_, rest)| format!("/v2/{rest}")).unwrap();
    let sent = replay.request("PUT", &format!("{path}&digest=sha256:{digest}")).body(content).send().await.unwrap();
    assert_eq!(sent.status(), 201, "{repository}");
    if let Some(limit) = limit {
        let mut state = replay.harbor.state();
        let project = state.projects.get_mut(project).unwrap();
        project.limit = Some(limit);
        project.blobs.remove(&format!("sha256:{digest}"));
    }
    digest
}

/// Robots that the recording made without showing it.
fn robots(replay: &mut Replay, id: &str) {
    let robot = match id {
        "member-add" => return drop(replay.secrets.insert("dev1".to_owned(), "Developer1".to_owned())),
        "robot-patch-own-secret" => replay.harbor.robot("slip", "own", &["repository:push"]),
        "summary-robot-project-read-quota-read" => {
            replay.harbor.robot("demo", "manager", &["project:read", "quota:read"])
        }
        "robot-delete" => replay.harbor.robot("slip", "tmpdis", &["repository:push"]),
        _ => return,
    };
    let number = replay.harbor.state().robots.last().unwrap().id.to_string();
    let recorded = if id == "robot-delete" { "robots/13" } else { "robots/34" };
    replay.known.insert(recorded.to_owned(), number);
    replay.secrets.insert(robot.0, robot.1);
}

/// The digest of the recording that begins so.
fn whole(start: &str) -> String {
    let text: String = Replay::records().iter().map(ToString::to_string).collect();
    let at = text.find(&format!("sha256:{start}")).unwrap_or_else(|| panic!("`{start}` was not recorded"));
    text[at + 7..at + 71].to_owned()
}

/// Pushes an image as the administrator; gives its digest's digits. Its layer may be known under a recorded digest.
pub(super) async fn image(replay: &mut Replay, name: &str, known_as: Option<&str>) -> String {
    let (repository, tag) = name.split_once(':').unwrap();
    let config = format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{{\"Env\":[\"{name}\"]}}}}");
    let size = config.len();
    let config = blob(replay, repository, config.into_bytes()).await;
    // As large as the one that a full project refused.
    let content = format!("layer of {name} ").repeat(200)[..2970].to_owned();
    let layer = blob(replay, repository, content.into_bytes()).await;
    if let Some(recorded) = known_as.filter(|recorded| !recorded.is_empty()) {
        let recorded = whole(recorded);
        replay.known.insert(recorded, layer.clone());
    }
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{config}"), "size": size },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": format!("sha256:{layer}"), "size": 2970 }],
    });
    put(replay, repository, tag, MANIFEST, &manifest).await
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn index(replay: &Replay, child: &str) {
    let child = serde_json::json!({ "mediaType": MANIFEST, "digest": format!("sha256:{child}"), "size": 1 });
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [child] });
    put(replay, "slip/multi", "idx", INDEX, &index).await;
}

async fn put(replay: &Replay, repository: &str, tag: &str, kind: &str, manifest: &serde_json::Value) -> String {
    let put = replay.request("PUT", &format!("/v2/{repository}/manifests/{tag}"));
    let answer = put.header("content-type", kind).body(manifest.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{repository}:{tag}");
    format!("{:x}", HexOf(&Sha256::digest(manifest.to_string())))
}
