//! Whether a repository that the operator answers for is why a command failed: no project can correct that.

use crate::model::failure::{Blame, Failure, FailureCode};

/// How Maven's resolver begins, and how it names the repository that it asked: `from/to ID (URL): why`.
const TRANSFER: &str = "Could not transfer artifact ";
/// The repository that every pom has without naming it.
const EVERYBODYS: &str = "central";
/// Words of a repository that answers and refuses the account, which stays so however often it is asked.
const REFUSED: &[&str] =
    &["status: 401", "status: 403", "status: 407", "status code: 401", "status code: 403", "status code: 407"];

/// The failure as `dependency_unavailable` where Maven could not fetch from a mirror of the operator's settings, or from
/// the repository that nobody has to name. That a repository lacks something stays the project's.
pub(super) fn blamed(failure: Failure, settings: &str) -> Failure {
    if failure.code != FailureCode::CompileFailed {
        return failure;
    }
    let lines = failure.log_tail.iter().chain([&failure.message]);
    let Some(why) = lines.filter_map(|line| asked(line)).find_map(|asked| asked.of_the_operator(settings)) else {
        return failure;
    };
    let code = FailureCode::DependencyUnavailable;
    let refused = REFUSED.iter().any(|words| why.contains(words));
    let hint = if refused { failure.hint.clone() } else { code.hint().to_owned() };
    Failure { code, blame: Blame::Service, retryable: !refused, hint, ..failure }
}

/// A repository that Maven could not fetch from.
struct Asked<'l> {
    id: &'l str,
    url: &'l str,
    why: &'l str,
}

impl<'l> Asked<'l> {
    /// Why not, where the operator answers for it.
    fn of_the_operator(&self, settings: &str) -> Option<&'l str> {
        let url = self.url.trim_end_matches('/');
        let named = !url.is_empty() && settings.contains(url);
        (named || self.id == EVERYBODYS).then_some(self.why)
    }
}

fn asked(line: &str) -> Option<Asked<'_>> {
    let (_, rest) = line.split_once(TRANSFER)?;
    let (_, repository) = rest.split_once(" from/to ")?;
    let (id, rest) = repository.split_once(" (")?;
    let (url, why) = rest.split_once("): ")?;
    Some(Asked { id, url, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a build whose log ends with this line.
    fn after(line: &str) -> (FailureCode, Blame, bool) {
        let settings = "<mirror><id>corp</id><mirrorOf>*</mirrorOf><url>https://nexus.example.com/all/</url></mirror>";
        let failed =
            Failure::new(FailureCode::CompileFailed, "`mvn` ended with exit code 1").log_tail(vec![line.to_owned()]);
        let failure = blamed(failed, settings);
        (failure.code, failure.blame, failure.retryable)
    }

    #[test]
    fn only_what_the_operator_answers_for_is_the_services() {
        let transfer = |from: &str, why: &str| format!("{TRANSFER}a:b:pom:1 from/to {from}: {why}");
        let unknown = "nexus.example.com: Name or service not known";
        let service = (FailureCode::DependencyUnavailable, Blame::Service, true);
        let project = (FailureCode::CompileFailed, Blame::Project, false);
        assert_eq!(after(&transfer("corp (https://nexus.example.com/all/)", unknown)), service);
        assert_eq!(after(&transfer("central (https://central.example.org/maven2)", unknown)), service);
        assert_eq!(after(&transfer("public releases (https://gone.example.org/maven)", unknown)), project);
        let refused =
            transfer("corp (https://nexus.example.com/all)", "status code: 401, reason phrase: Unauthorized (401)");
        assert_eq!(after(&refused), (FailureCode::DependencyUnavailable, Blame::Service, false));
        assert_eq!(after("Could not find artifact a:b:jar:1 in corp (https://nexus.example.com/all/)"), project);
        assert_eq!(after("[ERROR] A.java:[1,2] cannot find symbol"), project);
    }
}
