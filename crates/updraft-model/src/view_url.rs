//! Where people look at the files of a Dag bundle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The field of a template that stands for the version.
const VERSION: &str = "version";

/// What the field of a missing version becomes, as in Python.
const NO_VERSION: &str = "None";

/// The address of the versions of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewUrl {
    /// A format string of Python.
    pub template: String,
    /// Its fields, but for `version`.
    pub params: BTreeMap<String, String>,
}

impl ViewUrl {
    /// Whether a browser may be sent there: to a host, over HTTP.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        let Some((scheme, rest)) = self.template.split_once("://") else {
            return false;
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        ["http", "https"]
            .iter()
            .any(|safe| scheme.eq_ignore_ascii_case(safe))
            && !host.is_empty()
            && !self.template.chars().any(|char| char.is_ascii_control())
    }

    /// The address of a version; `None` when the template has a field that nobody knows, or is
    /// none.
    #[must_use]
    pub fn render(&self, version: Option<&str>) -> Option<String> {
        let mut url = String::with_capacity(self.template.len());
        let mut rest = self.template.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (text, brace) = rest.split_at(at);
            url.push_str(text);
            if brace.starts_with("{{") || brace.starts_with("}}") {
                url.push_str(&brace[..1]);
                rest = &brace[2..];
                continue;
            }
            let (field, after) = brace.strip_prefix('{')?.split_once('}')?;
            url.push_str(match field {
                VERSION => version.unwrap_or(NO_VERSION),
                field => self.params.get(field)?,
            });
            rest = after;
        }
        url.push_str(rest);
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::ViewUrl;

    fn url(template: &str) -> ViewUrl {
        let params = [("subdir".to_owned(), "dags".to_owned())];
        ViewUrl {
            template: template.to_owned(),
            params: params.into(),
        }
    }

    #[test]
    fn a_template_is_filled_as_python_does_it() {
        let render = |template: &str| url(template).render(Some("abc"));
        let full = render("https://h/{version}/{subdir}");
        assert_eq!(full.as_deref(), Some("https://h/abc/dags"));
        assert_eq!(render("https://h/{{x}}").as_deref(), Some("https://h/{x}"));
        assert_eq!(render("https://h/").as_deref(), Some("https://h/"));
        for wrong in [
            "https://h/{other}",
            "https://h/{version",
            "https://h/}",
            "{}",
        ] {
            assert_eq!(render(wrong), None, "{wrong}");
        }
        let none = url("https://h/{version}").render(None);
        assert_eq!(none.as_deref(), Some("https://h/None"));
    }

    #[test]
    fn only_hosts_over_http_are_safe() {
        for safe in ["https://h/{version}", "HTTP://h:8080"] {
            assert!(url(safe).is_safe(), "{safe}");
        }
        for other in [
            "javascript://h/",
            "https:///x",
            "h/x",
            "",
            "https://h/\u{7}",
        ] {
            assert!(!url(other).is_safe(), "{other:?}");
        }
    }
}
