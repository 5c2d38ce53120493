//! The port that a command names itself: `daphne -b 0.0.0.0 -p 8000`, `gunicorn --bind :8000`, `manage.py runserver 0.0.0.0:8000`.

use crate::toolchain::findings::Process;

/// Options that are given a port, or an address that ends in one (the documentation of gunicorn, uvicorn, daphne, hypercorn,
/// waitress, uWSGI, Flask and Streamlit).
const OPTIONS: &[&str] = &[
    "-p",
    "--port",
    "-b",
    "--bind",
    "--listen",
    "--http",
    "--http-socket",
    "--server.port",
    "--server-port",
    "--http-port",
];

/// Servers that take another port than 8080 where they are told none, and do not read `PORT`.
const DEFAULTS: &[(&str, u16)] = &[("uvicorn", 8000), ("daphne", 8000), ("hypercorn", 8000)];

/// The port that the command listens on whatever its environment says; `None` where a variable says it, or nothing.
pub(super) fn port(process: &Process) -> Option<u16> {
    let words: Vec<&str> = match &process.command[..] {
        [shell, flag, script] if shell == "sh" && flag == "-c" => script.split_whitespace().collect(),
        words => words.iter().map(String::as_str).collect(),
    };
    let mut told = false;
    for (index, word) in words.iter().enumerate() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (name, Some(value)),
            _ => (*word, words.get(index + 1).copied()),
        };
        if let Some(value) = value.filter(|_| OPTIONS.contains(&name)) {
            let value = value.trim_matches(['"', '\'']);
            told |= value.contains('$') || name != "-b";
            if let Some(port) = of_value(value) {
                return Some(port);
            }
        }
        if let Some(port) = word.strip_prefix("0.0.0.0:").and_then(number) {
            return Some(port);
        }
    }
    let program = words.iter().find(|word| **word != "exec")?.rsplit('/').next()?;
    let default = DEFAULTS.iter().find(|(server, _)| *server == program).map(|(_, port)| *port);
    default.filter(|_| !told)
}

/// `8000`, `:8000`, `0.0.0.0:8000`.
fn of_value(value: &str) -> Option<u16> {
    number(value.rsplit_once(':').map_or(value, |(_, port)| port))
}

/// Smaller numbers are counts.
fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port >= 80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::origin::Origin;

    #[test]
    fn a_command_that_names_its_port_listens_there() {
        for (command, expected) in [
            (&["daphne", "-b", "0.0.0.0", "-p", "8000", "shop.asgi:application"][..], Some(8000)),
            (&["gunicorn", "--bind=0.0.0.0:8001", "shop:app"], Some(8001)),
            (&["gunicorn", "shop:app", "-b", ":8002", "-w", "4"], Some(8002)),
            (&["waitress-serve", "--listen=*:8003", "shop:app"], Some(8003)),
            (&["python", "manage.py", "runserver", "0.0.0.0:8004"], Some(8004)),
            (&["sh", "-c", "python manage.py migrate && exec uvicorn shop:app --port 8005"], Some(8005)),
            (&["uvicorn", "shop:app", "--host", "0.0.0.0"], Some(8000)),
            (&["sh", "-c", "exec uvicorn shop:app --host 0.0.0.0 --port $PORT"], None),
            (&["sh", "-c", "exec uvicorn shop:app --port=${PORT:-5000}"], None),
            (&["sh", "-c", "exec daphne -b 0.0.0.0 -p \"$PORT\" shop:app"], None),
            (&["sh", "-c", "exec gunicorn --bind 0.0.0.0:$PORT shop:app"], None),
            (&["gunicorn", "shop:app", "--workers", "4"], None),
            (&["celery", "-A", "shop", "worker"], None),
        ] {
            let command: Vec<String> = command.iter().map(ToString::to_string).collect();
            let process = Process { name: "web".into(), command: command.clone(), origin: Origin::default("") };
            assert_eq!(port(&process), expected, "{command:?}");
        }
    }
}
