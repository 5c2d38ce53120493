//! The Docker Engine ends, dies, hides or has no room. None of it is the project's fault.

use std::time::Duration;

use super::case::{Case, Extra, case};

const SCRIPT: &str = "sleep 3; cp payload /output/";

async fn engine_goes(case: &mut Case, kill: bool) {
    let id = case.build(SCRIPT, Extra::Forbidden).await;
    case.step(&id, "compile").await;
    let moment = case.moment(Duration::from_secs(4));
    tokio::time::sleep(moment).await;
    case.say(&format!("the Engine goes {moment:?} after the begin of compile: {}", case.position(&id)));
    let parts = &mut **case;
    if kill {
        parts.engine.kill();
    } else {
        parts.engine.stop();
    }
    parts.engine.start(&parts.namespace);
    let report = case.report(&id).await;
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
}

#[test]
fn an_engine_is_ended() {
    case("engine-ended", 80, async |case| engine_goes(case, false).await);
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn an_engine_is_killed() {
    case("engine-killed", 81, async |case| engine_goes(case, true).await);
}

#[test]
#[ignore = "long: ten starts of an Engine"]
fn an_engine_goes_at_many_moments() {
    for seed in 82..87 {
        case(&format!("engine-killed-{seed}"), seed, async |case| engine_goes(case, true).await);
        case(&format!("engine-ended-{seed}"), seed, async |case| engine_goes(case, false).await);
    }
}

#[test]
fn an_engine_hides() {
    case("no-socket", 88, async |case| {
        let socket = case.engine.socket().to_owned();
        let hidden = socket.with_extension("hidden");
        std::fs::rename(&socket, &hidden).unwrap();
        let id = case.build("cp payload /output/", Extra::Forbidden).await;
        case.mailbox.event(&id, "finished", None, super::case::PATIENCE).await.unwrap();
        std::fs::rename(&hidden, &socket).unwrap();
        assert_eq!(case.report(&id).await["outcome"], "succeeded");
    });
}

#[test]
#[ignore = "long: one more fault on real parts"]
fn an_engines_disk_is_full() {
    case("engine-full", 89, async |case| {
        let filler = case.engine.data().join("filler").display().to_string();
        case.namespace.run(&["sh", "-c", &format!("head -c 2G /dev/zero >{filler}; true")], &[]);
        let id = case.build("cp payload /output/", Extra::Forbidden).await;
        case.mailbox.event(&id, "finished", None, super::case::PATIENCE).await.unwrap();
        case.namespace.run(&["rm", &filler], &[]);
        let report = case.report(&id).await;
        assert_eq!(report["outcome"], "succeeded", "{report:#}");
    });
}
