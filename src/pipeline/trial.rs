//! Whether the built image starts: tried once, before anyone gets it.

use tokio_util::sync::CancellationToken;

use super::Services;
use crate::catalog::Need;
use crate::image::BuiltImage;
use crate::image::trial::{Trial, TrialSpec};
use crate::model::failure::{Failure, FailureCode, Step, Warning};
use crate::model::plan::Plan;
use crate::model::request::BuildRequest;

/// Lines of its output that a failure shows.
const SHOWN: usize = 40;

/// Starts the image for a few seconds and says what is wrong with it; nothing where the operator does not want it, or
/// where no Engine has the image.
///
/// # Errors
/// `application_does_not_start` with its last lines, `engine_unavailable`.
pub(super) async fn check(
    services: &Services,
    request: &BuildRequest,
    plan: &Plan,
    built: &BuiltImage,
    cancel: &CancellationToken,
) -> Result<Vec<Warning>, Failure> {
    let settings = &services.config.build.start_check;
    let Some(image) = plan.image.as_ref().filter(|_| settings.enabled) else { return Ok(Vec::new()) };
    let (Some(engine), Some(id)) = (services.backend.engine(), &built.in_engine) else { return Ok(Vec::new()) };
    let spec = TrialSpec {
        build: request.id.to_string(),
        image: id.to_string(),
        ports: image.ports.clone(),
        health: image.health.clone(),
        patience: settings.time,
        memory: services.config.limits.memory,
        processes: services.config.limits.processes,
    };
    let trial = engine.try_start(&spec, cancel).await?;
    verdict(&trial, &image.ports, &image.given, &services.catalog.needs)
}

/// What a trial says.
fn verdict(trial: &Trial, ports: &[u16], given: &[String], needs: &[Need]) -> Result<Vec<Warning>, Failure> {
    if trial.out_of_memory {
        let message = "the application used more memory than it may when it was started for a trial";
        return Err(
            failed(message, trial).hint("make it start with less, or ask the operator for a higher `limits.memory`")
        );
    }
    let Some(code) = trial.exit_code else { return Ok(listening(trial, ports)) };
    if let Some((module, file)) = brought(trial, given).filter(|_| code != 0) {
        let message = format!(
            "started alone, the application ended with exit code {code}: it imports `{module}`, and `.gitignore` says \
             that no checkout has `{file}`"
        );
        return Ok(vec![Warning::new("needs_configuration", message, "nothing, if the platform mounts that file")]);
    }
    let output = trial.output.join("\n").to_lowercase();
    // Loaders say the program's name before it.
    let says = |line: &str, text: &str| line.trim_start().starts_with(text) || line.contains(&format!(": {text}"));
    let at_fault = |need: &Need| output.lines().any(|line| need.unless.iter().any(|text| says(line, text)));
    let wants = |need: &&Need| need.output.iter().any(|text| output.contains(text.as_str())) && !at_fault(need);
    let need = needs.iter().find(wants);
    match (need, code) {
        (Some(need), _) if code != 0 => {
            let last = trial
                .output
                .iter()
                .rev()
                .find(|line| need.output.iter().any(|text| line.to_lowercase().contains(text)));
            let message = format!(
                "started alone, the application ended with exit code {code}: {} ({})",
                need.message,
                last.map_or("", String::as_str)
            );
            Ok(vec![Warning::new(&need.code, message, need.hint.as_str())])
        }
        (_, 0) => Ok(vec![Warning::new(
            "application_ends",
            "started alone, the application ended by itself, with exit code 0",
            "if it waits for arguments, give them by `runtime.args` or `runtime.command` in `slipway.toml`",
        )]),
        _ => Err(failed(&format!("the application ended with exit code {code} as soon as it was started"), trial)),
    }
}

/// The module that the application missed where it is one of the files that whoever runs it brings, and that file.
fn brought<'t>(trial: &Trial, given: &'t [String]) -> Option<(String, &'t str)> {
    // `No module named 'shop.secrets'` and `cannot import name 'secrets' from 'shop' (/app/shop/__init__.py)`.
    let named = |line: &String| {
        let mut quoted = line.split('\'').skip(1).step_by(2);
        let (first, second) = (quoted.next()?, quoted.next());
        match second {
            _ if line.contains("No module named '") => Some(first.to_owned()),
            Some(package) if line.contains("cannot import name '") => Some(format!("{package}.{first}")),
            _ => None,
        }
    };
    let module = trial.output.iter().rev().find_map(named)?;
    let is = |file: &&String| {
        let path = file.trim_start_matches('/').trim_end_matches(".py").rsplit('/');
        path.zip(module.rsplit('.')).all(|(directory, package)| directory == package)
    };
    let file = given.iter().find(is)?;
    Some((module, file.as_str()))
}

fn failed(message: &str, trial: &Trial) -> Failure {
    let last = trial.output.len().saturating_sub(SHOWN);
    let tail = trial.output[last..].to_vec();
    Failure::new(FailureCode::ApplicationDoesNotStart, message).in_step(Step::Image).log_tail(tail)
}

fn listening(trial: &Trial, ports: &[u16]) -> Vec<Warning> {
    let shown =
        |ports: &mut dyn Iterator<Item = &u16>| ports.map(|port| format!("`{port}`")).collect::<Vec<_>>().join(", ");
    let mut warnings = Vec::new();
    if !trial.listening.is_empty() && !ports.is_empty() && ports.iter().all(|port| !trial.listening.contains(port)) {
        let message = format!(
            "the application listens on {}, and the image says {}",
            shown(&mut trial.listening.iter()),
            shown(&mut ports.iter())
        );
        let hint = "state the right ones in `slipway.toml`: `[runtime]` `ports = […]`";
        warnings.push(Warning::new("port_differs", message, hint));
    }
    if !trial.listening.is_empty() && trial.listening == trial.loopback {
        let message =
            format!("the application listens on {} of its own container alone", shown(&mut trial.loopback.iter()));
        let hint = "make it listen on all addresses (`0.0.0.0`), by `runtime.args` or `runtime.env` in `slipway.toml`";
        warnings.push(Warning::new("listens_on_loopback", message, hint));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i64, output: &str) -> Trial {
        Trial { exit_code: Some(code), output: output.lines().map(str::to_owned).collect(), ..Trial::default() }
    }

    fn needs() -> Vec<Need> {
        crate::catalog::Catalog::from_files(&crate::catalog::embedded(), crate::catalog::Operator::default())
            .unwrap()
            .needs
    }

    #[test]
    fn a_crash_is_a_failure_and_a_missing_service_a_warning() {
        let code = |code, output| match verdict(&ended(code, output), &[8080], &[], &needs()) {
            Ok(warnings) => warnings.first().map(|warning| warning.code.clone()).unwrap_or_default(),
            Err(failure) => failure.code.name().to_owned(),
        };
        assert_eq!(code(1, "panic: runtime error: index out of range"), "application_does_not_start");
        assert_eq!(code(127, ""), "application_does_not_start");
        assert_eq!(code(1, "dial tcp 127.0.0.1:5432: connect: connection refused"), "needs_a_service");
        assert_eq!(code(1, "java.net.UnknownHostException: db"), "needs_a_service");
        assert_eq!(code(1, "Error: queryA ENOTFOUND db"), "needs_a_service");
        let file = "Traceback (most recent call last):\nFileNotFoundError: Config file '/srv/.env' not found.";
        assert_eq!(code(3, file), "needs_configuration");
        assert_eq!(code(1, "2026/11/21 $DATABASE_URL must be set"), "needs_configuration");
        assert_eq!(code(1, "[ERROR] server failed: no providers enabled"), "needs_configuration");
        let crash = "panic: no codec enabled\n\ngoroutine 1 [running]:";
        assert_eq!(code(2, crash), "application_does_not_start");
        assert_eq!(code(1, "Error=\"mkdir /storage/: permission denied\""), "needs_a_place");
        assert_eq!(code(1, "PermissionError: [Errno 13] Permission denied: '/app/x'"), "application_does_not_start");
        assert_eq!(code(126, "sh: 1: exec: /app/run.sh: Permission denied"), "application_does_not_start");
        let environment = "    key = open(os.environ.get('KEY_PATH')).read()\nTypeError: expected str, not NoneType";
        assert_eq!(code(1, environment), "needs_configuration");
        let address = "AttributeError: 'NoneType' object has no attribute '_instantiate_plugins'";
        assert_eq!(code(1, address), "needs_configuration");
        let settings = "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings\nallow_origins\n  Input should be a valid list";
        assert_eq!(code(1, settings), "needs_configuration");
        let data = "pydantic_core._pydantic_core.ValidationError: 1 validation error for Order\nlines\n  Input should be a valid list";
        assert_eq!(code(1, data), "application_does_not_start");
        assert_eq!(code(0, "usage: x [flags]"), "application_ends");
        let long = format!("Usage: x [flags] <command>\n{}", "  -flag\n      what it does\n".repeat(60));
        assert_eq!(code(1, &long), "needs_arguments");
        assert_eq!(code(1, "x: error: required argument 'route' not provided, try --help"), "needs_arguments");
        assert_eq!(
            code(2, "usage: x [-h] file\nx: error: the following arguments are required: file"),
            "needs_arguments"
        );
        assert_eq!(code(1, "Error: Please specify which files to show."), "needs_arguments");
        let ours = "usage: gunicorn [OPTIONS] [APP_MODULE]\ngunicorn: error: unrecognized arguments: --port";
        assert_eq!(code(2, ours), "application_does_not_start");
        let undefined = format!("flag provided but not defined: -x\n{long}");
        assert_eq!(code(1, &undefined), "application_does_not_start");
        let module = "could not load config\nModuleNotFoundError: No module named 'pkg_resources'";
        assert_eq!(code(1, module), "application_does_not_start");
        let older = "RuntimeError: __class__ not set defining 'User'. Was __classcell__ propagated to type.__new__?";
        assert_eq!(code(3, older), "application_does_not_start");
        let library = "uwsgi: error while loading shared libraries: libx.so.1: cannot open: No such file or directory";
        assert_eq!(code(127, library), "application_does_not_start");
        let program = "getaddrinfo\n    raise child_exception_type(errno_num, err_msg)\nFileNotFoundError: No such file or directory: 'git'";
        assert_eq!(code(1, program), "application_does_not_start");
        let failure = verdict(&ended(3, "a\nb"), &[], &[], &needs()).unwrap_err();
        assert_eq!((failure.log_tail.len(), failure.step), (2, Some(Step::Image)));
    }

    #[test]
    fn a_module_that_git_ignores_is_brought_by_whoever_runs_it() {
        let given = ["/shop/shop/configuration.py".to_owned(), "local_settings.py".to_owned()];
        for (missing, file) in [
            ("shop.configuration", Some("/shop/shop/configuration.py")),
            ("configuration", Some("/shop/shop/configuration.py")),
            ("shop.local_settings", Some("local_settings.py")),
            ("other.configuration", None),
            ("other.local_settings", Some("local_settings.py")),
            ("requests", None),
        ] {
            let output = match missing.split_once('.') {
                Some(("other", name)) => format!("ImportError: cannot import name '{name}' from 'other' (/app/o.py)"),
                _ => format!("ModuleNotFoundError: No module named '{missing}'\nImproperlyConfigured: no settings"),
            };
            let said = verdict(&ended(3, &output), &[], &given, &needs());
            match (file, said) {
                (Some(file), Ok(warnings)) => {
                    assert_eq!(warnings[0].code, "needs_configuration");
                    assert!(warnings[0].message.contains(&format!("`{file}`")), "{}", warnings[0].message);
                }
                (None, Err(failure)) => assert_eq!(failure.code, FailureCode::ApplicationDoesNotStart, "{missing}"),
                (_, said) => panic!("{missing}: {said:?}"),
            }
        }
    }

    #[test]
    fn ports_that_differ_and_loopback_are_named() {
        let trial = |listening: &[u16], loopback: &[u16]| Trial {
            listening: listening.iter().copied().collect(),
            loopback: loopback.iter().copied().collect(),
            ..Trial::default()
        };
        let codes = |trial, ports: &[u16]| -> Vec<String> {
            verdict(&trial, ports, &[], &[]).unwrap().into_iter().map(|warning| warning.code).collect()
        };
        assert!(codes(trial(&[8080, 9090], &[9090]), &[8080]).is_empty());
        assert!(codes(trial(&[], &[]), &[8080]).is_empty());
        assert_eq!(codes(trial(&[3000], &[]), &[8080]), ["port_differs"]);
        assert_eq!(codes(trial(&[8080], &[8080]), &[8080]), ["listens_on_loopback"]);
    }
}
