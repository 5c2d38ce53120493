//! Pages as people see them: in a real Chromium, with axe-core looking for what keeps anybody out.

use serde_json::{Value, json};

use super::browser::Browser;
use super::markup::hostile;
use super::site::{Server, Site, push};
use crate::services::service;
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

/// Screens: of a desk and of a telephone.
const SCREENS: [(&str, u32, u32); 2] = [("desk", 1280, 900), ("phone", 390, 844)];

/// Logs in as people do.
pub(super) async fn log_in(browser: &Browser, site: &Site, server: &Server) {
    log_in_at(browser, site, &server.url).await;
}

/// The same where the server is reached by another address.
pub(super) async fn log_in_at(browser: &Browser, site: &Site, url: &str) {
    browser.go(&format!("{url}/login")).await;
    let token = json!(site.token());
    browser
        .run(&format!(
            "document.querySelector('#token').value = {token}; document.querySelector('main button').click()"
        ))
        .await;
    browser.until("document.querySelector('h1')?.textContent === 'Builds'").await;
}

/// What axe-core finds on the page that is open: rule, how bad, and where.
async fn violations(browser: &Browser) -> Vec<String> {
    let axe = std::fs::read_to_string(service("SLIPWAY_TEST_AXE")).unwrap();
    let ran = browser.run(&format!("{axe};\nreturn axe.run(document)")).await;
    let passes = ran["passes"].as_array().unwrap().len();
    assert!(passes > 8, "axe looked at nothing: {passes} rules held");
    let found = |one: &Value| {
        let nodes = one["nodes"].as_array().unwrap().iter();
        let nodes: Vec<String> = nodes.map(|node| format!("{}: {}", node["target"], node["failureSummary"])).collect();
        format!("{} ({}): {}", one["id"].as_str().unwrap(), one["impact"].as_str().unwrap_or("?"), nodes.join("; "))
    };
    ran["violations"].as_array().unwrap().iter().map(found).collect()
}

/// The most bytes of a page with all that it needs, pictures aside.
const LIGHT: u64 = 100_000;

/// What the page that is open weighs.
async fn weight(browser: &Browser) -> u64 {
    let sum = "return ['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))
        .filter((one) => !one.name.endsWith('.svg')).reduce((sum, one) => sum + one.encodedBodySize, 0)";
    browser.run(sum).await.as_u64().unwrap()
}

/// Builds of every kind, and the pages that show them, by name.
async fn all_pages(site: &Site, server: &Server) -> (Vec<Repository>, Vec<(&'static str, String)>) {
    let (text, id) = hostile(site, server).await;
    let bad = Repository::script("echo begins\necho no such tide >&2\nexit 3\n");
    let slow = Repository::script(&format!(
        "echo begun; while ! [ -e {} ]; do sleep 0.1; done\n",
        site.state.path().join("go").display()
    ));
    let mut ids = vec![id];
    for (repository, state) in [(&bad, "failed"), (&slow, "running")] {
        site.application(server, repository, json!({})).await;
        let answer = server.hook(&push(repository, "main", "a change"), &repository.name).await;
        ids.push(answer.json()["builds"][0].as_str().unwrap().to_owned());
        site.until(server, ids.last().unwrap(), state).await;
    }
    // Changed and built again, there is something to compare.
    let path = format!("/api/v1/applications/{PRODUCT_LINE}/{}", text.name);
    let mut application = site.ask(server, "GET", &path, None).await.json()["application"].clone();
    application["runtime"]["ports"] = json!([8080]);
    assert_eq!(site.ask(server, "PUT", &path, Some(&application)).await.status, 200);
    let again = site.ask(server, "POST", &format!("{path}/builds"), Some(&json!({ "revision": "main" }))).await;
    let again = again.json()["id"].as_str().unwrap().to_owned();
    site.until(server, &again, "succeeded").await;
    let pages = vec![
        ("overview", "/".to_owned()),
        ("build", format!("/builds/{again}")),
        ("build-hostile", format!("/builds/{}", ids[0])),
        ("build-failed", format!("/builds/{}", ids[1])),
        ("build-running", format!("/builds/{}", ids[2])),
        ("applications", "/applications".to_owned()),
        ("application-new", "/applications/new".to_owned()),
        ("application-change", format!("/applications/{PRODUCT_LINE}/{}/edit", text.name)),
        ("product-line", format!("/product-lines/{PRODUCT_LINE}")),
        ("workers", "/workers".to_owned()),
        ("application", format!("/applications/{PRODUCT_LINE}/{}", text.name)),
        ("nothing", "/no/such/page".to_owned()),
        ("login", "/login".to_owned()),
    ];
    (vec![text, bad, slow], pages)
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_can_use_every_page() {
    let site = Site::new(&[("WORKER__LANES", "{ interactive = 2, bulk = 0 }")]).await;
    let server = site.start().await;
    let (_repositories, pages) = all_pages(&site, &server).await;
    let browser = Browser::start().await;
    log_in(&browser, &site, &server).await;
    let mut wrong = Vec::new();
    for (name, path) in &pages {
        for scheme in ["light", "dark"] {
            for (screen, width, height) in SCREENS {
                let what = format!("{name}-{scheme}-{screen}");
                browser.looks(scheme, width, height).await;
                browser.go(&format!("{}{path}", server.url)).await;
                browser.picture(&what).await;
                wrong.extend(violations(&browser).await.into_iter().map(|found| format!("{what}: {found}")));
                let wide = browser.run("return document.documentElement.scrollWidth").await;
                if wide.as_u64().unwrap() > u64::from(width) {
                    wrong.push(format!("{what}: {wide} wide"));
                }
                // What people wait for, pictures aside: no page is heavy.
                let weight = weight(&browser).await;
                assert!(weight > 5_000, "{what}: {weight} bytes cannot be all of it");
                if weight > LIGHT {
                    wrong.push(format!("{what}: {weight} bytes"));
                }
                // Markup of others has become nothing, and nothing was asked of another host.
                let seen = "return { pwned: typeof pwned, scripts: document.scripts.length, elsewhere: performance.getEntriesByType('resource')
                    .map((one) => one.name).filter((one) => !one.startsWith(location.origin)) }";
                assert_eq!(
                    browser.run(seen).await,
                    json!({ "pwned": "undefined", "scripts": 1, "elsewhere": [] }),
                    "{what}"
                );
            }
        }
        // What the policy of contents refuses is said in the console; so is a script's error.
        let said = browser.console().await;
        let said: Vec<_> = said.iter().filter(|line| !(*name == "nothing" && line.contains("404"))).collect();
        assert!(said.is_empty(), "{name}: {said:#?}");
    }
    std::fs::write(site.state.path().join("go"), "").unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_watched_and_everything_done_by_keyboard() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let place = site.state.path();
    let wait = |name: &str| format!("while ! [ -e {} ]; do sleep 0.1; done\n", place.join(name).display());
    let script = format!(
        "echo 'first <b>line</b>'\n{}printf '\\033[1;31msecond\\033[0m line\\n'\n{}",
        wait("more"),
        wait("end")
    );
    let repository = Repository::script(&script);
    site.application(&server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", "watched"), "one").await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    site.until(&server, &id, "running").await;
    let browser = Browser::start().await;
    log_in(&browser, &site, &server).await;
    browser.go(&format!("{}/builds/{id}", server.url)).await;
    // Lines come as they are written, with their numbers and steps; markup among them is text.
    let line = |text: &str| {
        format!("[...document.querySelectorAll('#log .line')].some((one) => one.textContent.includes('{text}'))")
    };
    browser.until(&line("first <b>line</b>")).await;
    assert_eq!(browser.run(&format!("return {}", line("second line"))).await, json!(false));
    // A page that looks again is not sent what it has: the log of a long build, to every viewer, every five seconds.
    let again = "return fetch(location.href, { headers: { 'slipway-log': 'none' } }).then((answer) => answer.text())
        .then((text) => [text.includes('first &lt;b'), text.includes('id=\"steps\"')])";
    assert_eq!(browser.run(again).await, json!([false, true]));
    // While it runs, its steps are drawn, and the page follows without being loaded again.
    let steps =
        "[...document.querySelectorAll('#steps .state')].map((one) => one.textContent + ' ' + one.classList[1]).join()";
    browser.until(&format!("({steps}).endsWith('compile running')")).await;
    browser.run("window.kept = true").await;
    std::fs::write(place.join("more"), "").unwrap();
    browser.until(&line("second line")).await;
    assert_eq!(browser.run("return window.kept").await, json!(true));
    let shown = "return { elements: document.querySelectorAll('#log b').length, steps: [...document.querySelectorAll('#log summary')].some((one) => one.textContent === 'compile'),
        numbered: [...document.querySelectorAll('#log .line')].every((one, at) => one.id === 'L' + (at + 1)),
        red: document.querySelector('#log .b.c1')?.textContent }";
    let expected = json!({ "elements": 0, "steps": true, "numbered": true, "red": "second" });
    assert_eq!(browser.run(shown).await, expected);
    // The page says by itself how it ended.
    std::fs::write(place.join("end"), "").unwrap();
    browser.until("document.querySelector('#state')?.textContent === 'succeeded'").await;
    // `/` goes to the search; everything that can be done can be reached with Tab, and shows that it is.
    browser.run("document.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }))").await;
    assert_eq!(browser.run("return document.activeElement.id").await, json!("search"));
    let unreachable = "return [...document.querySelectorAll('a, button, input:not([type=hidden]), select')].filter((one) => one.tabIndex < 0).length";
    assert_eq!(browser.run(unreachable).await, json!(0));
    // Dark or light, as somebody said, also on the next page.
    browser.run("document.querySelector('#theme').click()").await;
    let theme = browser.run("return document.documentElement.dataset.theme").await;
    browser.go(&format!("{}/", server.url)).await;
    assert_eq!(browser.run("return document.documentElement.dataset.theme").await, theme);
    assert!(["dark", "light"].map(|one| json!(one)).contains(&theme), "{theme}");
}

/// Fills the text of a form, and sends it.
async fn save(browser: &Browser, text: &str) {
    let text = json!(text);
    browser
        .run(&format!(
            "document.querySelector('#text').value = {text}; document.querySelector('main form button').click()"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_made_changed_and_removed_on_the_page() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let browser = Browser::start().await;
    log_in(&browser, &site, &server).await;
    let heading = |text: &str| format!("document.querySelector('h1')?.textContent === '{text}'");
    let path = format!("/applications/{PRODUCT_LINE}/order");
    browser.go(&format!("{}/applications/new", server.url)).await;
    let text =
        format!("product_line = '{PRODUCT_LINE}'\nname = 'order'\nrepository = 'https://g.example/trade/order.git'\n");
    // What is wrong is said with its line, and nothing that was written is lost.
    save(&browser, &format!("{text}kindd = 'library'\n")).await;
    browser.until("document.querySelector('[role=alert]')?.textContent.includes('kindd')").await;
    assert_eq!(browser.run("return document.querySelector('#text').value.includes('kindd')").await, json!(true));
    assert_eq!(site.ask(&server, "GET", &format!("/api/v1{path}"), None).await.status, 404);
    save(&browser, &text).await;
    browser.until(&heading(&format!("{PRODUCT_LINE}/order"))).await;
    let stored = site.ask(&server, "GET", &format!("/api/v1{path}"), None).await.json();
    assert_eq!(stored["application"]["repository"], "https://g.example/trade/order.git");
    browser.go(&format!("{}/applications/new", server.url)).await;
    save(&browser, &text).await;
    browser.until("document.querySelector('[role=alert]')?.textContent.includes('there is an application')").await;
    // Changed from a version that is no longer the newest.
    browser.go(&format!("{}{path}/edit", server.url)).await;
    let mut application = stored["application"].clone();
    application["directory"] = json!("by-another");
    assert_eq!(site.ask(&server, "PUT", &format!("/api/v1{path}"), Some(&application)).await.status, 200);
    save(&browser, &format!("{text}directory = 'mine'\n")).await;
    browser.until("document.querySelector('[role=alert]')?.textContent.includes('meanwhile')").await;
    browser.go(&format!("{}{path}/edit", server.url)).await;
    save(&browser, &format!("{text}directory = 'mine'\n")).await;
    browser.until(&heading(&format!("{PRODUCT_LINE}/order"))).await;
    let stored = site.ask(&server, "GET", &format!("/api/v1{path}"), None).await.json();
    assert_eq!((&stored["application"]["directory"], &stored["version"]), (&json!("mine"), &json!(3)));
    browser.run("document.querySelector('form[action$=\"/remove\"] button').click()").await;
    browser.until(&heading("Applications")).await;
    assert_eq!(site.ask(&server, "GET", &format!("/api/v1{path}"), None).await.status, 404);
    // What was removed has its page still, and comes back.
    browser.go(&format!("{}{path}", server.url)).await;
    browser.until("document.querySelector('main').textContent.includes('it was removed')").await;
    browser.run("document.querySelector('form[action$=\"/restore\"] button').click()").await;
    browser.until("document.querySelector('[aria-label=Settings] pre')?.textContent.includes('mine')").await;
    let stored = site.ask(&server, "GET", &format!("/api/v1{path}"), None).await.json();
    assert_eq!((&stored["application"]["directory"], &stored["version"]), (&json!("mine"), &json!(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_of_a_long_log_is_found() {
    let site = Site::new(&[]).await;
    let server = site.start().await;
    let repository = Repository::script("seq -f '<line no=\"%g\" of=\"the log\"/>' 20000\n");
    site.application(&server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", "long"), "one").await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    site.until(&server, &id, "succeeded").await;
    let log = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/log"), None).await.text;
    let browser = Browser::start().await;
    log_in(&browser, &site, &server).await;
    browser.go(&format!("{}/builds/{id}", server.url)).await;
    browser.until("document.querySelector('#earlier:not([hidden])')").await;
    // However much markup stands in it.
    let weight = weight(&browser).await;
    assert!((30_000..LIGHT).contains(&weight), "{weight}");
    let first = "Number(document.querySelector('#log .line').id.slice(1))";
    let before = browser.run(&format!("return {first}")).await.as_u64().unwrap();
    assert!(before > 10_000, "{before}");
    browser.run("document.querySelector('#earlier').click()").await;
    browser.until(&format!("{first} < {before}")).await;
    // A link to a line leads there, however far up it is; every number is that of its line.
    browser.go("about:blank").await;
    browser.go(&format!("{}/builds/{id}#L100", server.url)).await;
    browser.until("document.querySelector('#earlier').hidden").await;
    let said: Vec<&str> = log.lines().collect();
    for number in [1, 100, 5000, 15_000, said.len()] {
        let shown = browser.run(&format!("return document.querySelector('#L{number}').textContent")).await;
        let words = said[number - 1].splitn(3, ' ').nth(2).unwrap();
        assert_eq!(shown.as_str().unwrap(), format!("{number}{words}"));
    }
}
