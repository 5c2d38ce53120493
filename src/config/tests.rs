//! Tests of the configuration as a whole.

use std::time::Duration;

use crate::model::failure::Step;

use super::*;

#[test]
fn a_password_in_a_url_is_refused() {
    // A token stands where the user's name does.
    for account in ["ada:hunter2", "hunter2", "hunter2:"] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("[mirrors]\npython_index = \"https://{account}@nexus.example.com/simple\"\n");
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let failure = Config::load(Some(file.path())).unwrap_err();
        assert!(failure.message.contains("mirrors.python_index"), "{}", failure.message);
        assert!(!failure.message.contains("hunter2") && failure.hint.contains("credentials"), "{}", failure.hint);
    }
}

#[test]
fn a_secret_in_the_configuration_is_refused_and_not_repeated() {
    let refused = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        Config::load(Some(file.path())).unwrap_err()
    };
    let overlaid = |name: &str, value: &str| {
        Config::default().overlaid([(name.to_owned(), value.to_owned())]).unwrap_err().message
    };
    let failure = refused("[credentials.harbor]\nusername = \"robot\"\npassword = \"hunter2\"\n");
    assert_eq!((failure.places[0].line, failure.places[0].column), (Some(3), Some(12)));
    assert!(failure.message.contains("`credentials.harbor.password`"), "{}", failure.message);
    assert!(failure.message.contains("{ file = "), "{}", failure.message);
    let lists = "https://ada:hunter2@nexus.example.com/simple";
    for message in [
        failure.message,
        refused(&format!("[mirrors]\npython_extra_indexes = \"{lists}\"\n")).message,
        overlaid("SLIPWAY__CREDENTIALS__HARBOR__PASSWORD", "hunter2"),
        overlaid("SLIPWAY__MIRRORS__PYTHON_EXTRA_INDEXES", lists),
    ] {
        assert!(!message.contains("hunter2"), "{message}");
    }
    for way in ["{ file = \"/run/secrets/harbor\" }", "{ env = \"HARBOR\" }", "{ command = [\"pass\", \"harbor\"] }"] {
        let config: Config = toml::from_str(&format!("[credentials.harbor]\npassword = {way}\n")).unwrap();
        // The environment is laid over what was read and written again.
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(format!("{:?}", again.credentials), format!("{:?}", config.credentials));
    }
    let other = refused("[credentials.harbor]\npassword = { path = \"x\" }\n").message;
    assert!(other.contains("`path`") && other.contains("`file`"), "{other}");
}

#[test]
fn mirrors_are_urls_or_name_credentials() {
    let text = r#"
        [mirrors]
        python_index = "https://a.example/simple"
        python_extra_indexes = [{ url = "https://b.example/simple", credentials = "nexus" }]
        go_proxy = { url = "https://c.example/go,direct", credentials = "nexus" }
        go_private = ["https://gitlab.example.com/trade/", { url = "https://d.example", credentials = "d" }]
    "#;
    let config: Config = toml::from_str(text).unwrap();
    let seen = config.mirrors.for_templates();
    assert_eq!(seen["python_index"], "https://a.example/simple");
    assert_eq!(seen["python_extra_indexes"], serde_json::json!(["https://b.example/simple"]));
    assert_eq!(seen["go_proxy"], "https://c.example/go,direct");
    assert_eq!(seen["go_private"], "gitlab.example.com/trade,d.example");
    assert!(!seen.to_string().contains("nexus"));
    let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again.mirrors.go_proxy, config.mirrors.go_proxy);
    for key in ["python_extra_indexes = [\"https://a:b@c.example\"]", "go_proxy = \"direct,https://a:b@c.example\""] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, format!("[mirrors]\n{key}\n").as_bytes()).unwrap();
        assert_eq!(Config::load(Some(file.path())).unwrap_err().code, FailureCode::ConfigurationInvalid);
    }
}

#[test]
fn variables_lie_over_the_file() {
    let overlay = |name: &str, value: &str| Config::default().overlaid([(name.to_owned(), value.to_owned())]);
    assert_eq!(
        overlay("SLIPWAY__REGISTRY__HOST", "127.0.0.1:5000").unwrap().registry.host.as_deref(),
        Some("127.0.0.1:5000")
    );
    assert!(overlay("SLIPWAY__BUILD__OWN_DOCKERFILES", "true").unwrap().build.own_dockerfiles.unwrap().allow("trade"));
    let some = overlay("SLIPWAY__BUILD__OWN_DOCKERFILES", "[\"trade\"]").unwrap().build.own_dockerfiles.unwrap();
    assert!(some.allow("trade") && !some.allow("other"));
    assert_eq!(overlay("SLIPWAY__LIMITS__TIMEOUT", "5m").unwrap().limits.timeout, Duration::from_mins(5));
    let failure = overlay("SLIPWAY__REGISTRY__HOSTS", "x").unwrap_err();
    assert!(failure.message.contains("SLIPWAY__REGISTRY__HOSTS"), "{}", failure.message);
}

#[test]
fn a_malformed_configuration_names_its_line() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"[limits]\ntimeout = \"20 minutes\"\n").unwrap();
    let failure = Config::load(Some(file.path())).unwrap_err();
    assert_eq!((failure.code, failure.places[0].line), (FailureCode::ConfigurationInvalid, Some(2)));
    assert_eq!(failure.places[0].column, Some(11));
    let absent = Config::load(Some(Path::new("/nonexistent/config.toml"))).unwrap_err();
    assert!(absent.hint.contains("--config"), "{}", absent.hint);
}

#[test]
fn durations_and_sizes_have_units() {
    assert_eq!(duration::parse("20m"), Ok(Duration::from_mins(20)));
    assert_eq!(size::parse("512MiB"), Ok(512 << 20));
    for bad in ["20", "m", "", "-1s", "20 m", "99999999999999999999h"] {
        assert!(duration::parse(bad).is_err(), "{bad}");
    }
    assert!(size::parse("5GB").is_err());
}

#[test]
fn steps_have_times_of_their_own() {
    let config: Config = toml::from_str("[limits]\nsteps = { push = \"5m\" }").unwrap();
    assert_eq!(config.limits.steps, BTreeMap::from([(Step::Push, Duration::from_mins(5))]));
    let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again.limits.steps, config.limits.steps);
    let error = toml::from_str::<Config>("[limits]\nsteps = { fetch = \"5m\" }").unwrap_err();
    assert!(error.message().contains("`fetch`"), "{error}");
}

#[test]
fn slipway_s_own_services_are_closed_to_builds() {
    let text = r#"
        [network]
        closed = ["10.20.0.0/16"]
        [amqp]
        url = "amqps://rabbitmq.example.com/slipway"
        [database]
        url = "postgres://postgres.example.com/slipway"
        [server]
        listen = "0.0.0.0:8080"
        [probes]
        listen = "10.1.2.3:9090"
    "#;
    let config: Config = toml::from_str(text).unwrap();
    let postgres = "postgres.example.com:5432";
    let expected = ["10.20.0.0/16", "rabbitmq.example.com:5671", postgres, "0.0.0.0:8080", "10.1.2.3:9090"];
    assert_eq!(config.closed(), expected);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"[network]\nclosed = [\"10.1.2.3\"]\n").unwrap();
    let failure = Config::load(Some(file.path())).unwrap_err();
    assert!(failure.message.contains("`10.1.2.3`") && failure.hint.contains("/32"), "{}", failure.message);
    // What listens on loopback alone is not reached from a container anyway.
    assert!(Config::default().closed().is_empty());
    let other: Config = toml::from_str("[database]\nurl = \"postgres://127.0.0.1:5433/slipway\"\n").unwrap();
    assert_eq!(other.closed(), ["127.0.0.1:5433"]);
}
