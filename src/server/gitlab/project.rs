//! What GitLab calls a project whose repository lies at a path of its server: GitLab itself may lie below a path there
//! (its "relative URL"), which belongs to the addresses of repositories and not to the names of projects.

use crate::config::Config;
use crate::server::application::Application;

/// The project of an application: GitLab's `path_with_namespace`, in small letters.
pub(in crate::server) fn of(config: &Config, application: &Application) -> String {
    let path = application.repository_path();
    // By SSH there is no path before it.
    let web = application.repository.transport().is_http();
    path.strip_prefix(&below(config)).filter(|_| web).unwrap_or(&path).to_owned()
}

/// The paths on the server that the repository of a project may have.
pub(super) fn paths(config: &Config, project: &str) -> Vec<String> {
    let (project, below) = (project.to_lowercase(), below(config));
    if below.is_empty() { vec![project] } else { vec![format!("{below}{project}"), project] }
}

/// The path that GitLab lies below, with a slash at its end; `""` where it is the server's root.
fn below(config: &Config) -> String {
    let url = config.server.gitlab.url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let path = url.map(|url| url.path().trim_matches('/').to_lowercase()).unwrap_or_default();
    if path.is_empty() { path } else { path + "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gitlab_below_a_path_calls_its_projects_without_it() {
        let application = |repository: &str| {
            let text = format!(r#"{{ "product_line": "trade", "name": "order", "repository": "{repository}" }}"#);
            Application::parse(text.as_bytes()).unwrap()
        };
        let with = |url: Option<&str>| {
            let mut config = Config::default();
            config.server.gitlab.url = url.map(str::to_owned);
            config
        };
        for (gitlab, repository, project) in [
            (None, "https://git.example/gitlab/trade/order.git", "gitlab/trade/order"),
            (Some("https://git.example"), "https://git.example/gitlab/trade/order.git", "gitlab/trade/order"),
            (Some("https://git.example/GitLab/"), "https://git.example/gitlab/Trade/order.git", "trade/order"),
            (Some("https://git.example/gitlab"), "ssh://git@git.example/trade/order.git", "trade/order"),
            (Some("https://git.example/gitlab"), "ssh://git@git.example/gitlab/order.git", "gitlab/order"),
        ] {
            let (config, application) = (with(gitlab), application(repository));
            assert_eq!(of(&config, &application), project, "{gitlab:?} {repository}");
            let found = paths(&config, project);
            assert!(found.contains(&application.repository_path()), "{gitlab:?} {repository}: {found:?}");
        }
    }
}
