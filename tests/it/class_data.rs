//! Images with an archive of the classes that their application loads.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::support::container::Container;
use crate::support::image::{Pulled, engine};
use crate::support::probe;
use crate::support::project::Project;
use crate::support::slipway::Slipway;

/// What the virtual machine says of a class that it mapped from the application's own archive.
const MAPPED: &str = "com.example.greeting.GreetingApplication source: shared objects file (top)";

#[tokio::test(flavor = "multi_thread")]
async fn an_image_maps_its_classes_whatever_builds_it() {
    let project = Project::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/spring-boot"));
    project.write("slipway.toml", "[runtime]\nclass_data_sharing = true\n");
    project.commit();
    let docker = engine().await;
    let says = BTreeMap::from([("JAVA_TOOL_OPTIONS".to_owned(), "-Xlog:class+load".to_owned())]);
    for backend in ["docker", "assembler"] {
        let args = ["--push", "--name", backend, "--image-backend", backend].map(str::to_owned);
        let run = Slipway::new().build(&project.path(), &args).await;
        assert_eq!(run.code, 0, "{}", run.text());
        assert!(!run.text().contains("[warning][cds]"), "{}", run.text());
        let image = Pulled::from_report(&docker, &run.report).await;
        let container = Container::start(&docker, &image.reference, &says, &[], Some(8080)).await.unwrap();
        let address = container.address();
        let answers = async || probe::get(&address, "/greeting").await.map_err(|error| error.to_string());
        let answer = probe::until(Duration::from_secs(90), answers, async || container.is_running().await).await;
        let log = container.log().await;
        assert!(answer.is_ok(), "{answer:?}\n{log}");
        assert!(log.contains(MAPPED), "{backend}: {}", log.lines().take(200).collect::<Vec<_>>().join("\n"));
    }
}
