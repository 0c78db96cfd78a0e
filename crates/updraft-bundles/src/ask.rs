//! One question to one bundle child.

use serde_json::{Map, Value};
use tracing::debug;
use updraft_execution::{ChildLog, ChildOrder, ChildRunner, End, Finished};
use updraft_model::BundleName;
use updraft_python::{ChildKind, ChildStatus};
use updraft_task_comms::frame::encode_frame;
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{BundleAnswer, BundleOpened, OpenBundle};

use crate::{BundlesOptions, Error};

/// A bundle class with its arguments.
pub(crate) struct Class<'a> {
    pub(crate) name: &'a BundleName,
    pub(crate) classpath: &'a str,
    pub(crate) kwargs: &'a Map<String, Value>,
}

impl Class<'_> {
    /// Has the class fetch a version, or the newest files.
    pub(crate) async fn open(
        &self,
        version: Option<&str>,
        runner: &ChildRunner,
        options: &BundlesOptions,
    ) -> Result<BundleOpened, Error> {
        let about = match version {
            Some(version) => format!("Dag bundle {}, version {version}", self.name),
            None => format!("Dag bundle {}", self.name),
        };
        let order = ChildOrder {
            kind: ChildKind::Bundle,
            environment: Vec::new(),
            first: self.first(version)?,
            asker: options.asker.clone(),
            expects: Some(BundleAnswer::TYPE),
            limit: Some(options.timeout),
            grace: None,
            secrets: secrets_in(self.kwargs),
            log: ChildLog::Process { about },
        };
        let finished = runner.run(order).await;
        debug!(bundle = %self.name, version, duration_ms = finished.duration.as_millis(), "asked a bundle class");
        self.conclude(&finished)
    }

    fn first(&self, version: Option<&str>) -> Result<bytes::Bytes, Error> {
        let no_child = |reason: String| Error::NoChild {
            name: self.name.clone(),
            reason,
        };
        let kwargs = serde_json::to_string(self.kwargs).unwrap_or_default();
        let order = OpenBundle {
            name: self.name.to_string(),
            classpath: self.classpath.to_owned(),
            kwargs: JsonText::parse(&kwargs).map_err(|error| no_child(error.to_string()))?,
            version: version.map(str::to_owned),
        };
        encode_frame(0, Some(&order), None::<&()>).map_err(|error| no_child(error.to_string()))
    }

    fn conclude(&self, finished: &Finished) -> Result<BundleOpened, Error> {
        let name = self.name.clone();
        let answer = finished.result.as_ref().map(BundleAnswer::decode);
        let how = match (answer, &finished.end) {
            (Some(Ok(BundleAnswer::Opened(opened))), _) => return Ok(opened),
            (Some(Ok(BundleAnswer::Refused(error))), _) => {
                let masker = finished.masker.as_ref();
                let reason = masker.map_or_else(String::new, |it| it.mask(&error).into_owned());
                return Err(Error::Refused { name, reason });
            }
            (None, End::Stopped) => return Err(Error::Stopping),
            (None, End::NotStarted(reason)) => {
                let reason = reason.clone();
                return Err(Error::NoChild { name, reason });
            }
            (Some(Err(error)), _) => format!("sent an answer that cannot be read: {error}"),
            (None, End::TimedOut(limit)) => format!(
                "was killed after {} s; raise `[updraft] bundle_timeout` if it needs longer",
                limit.as_secs_f64()
            ),
            (None, End::Garbled(bad)) => format!("was killed, because it sent no message: {bad}"),
            (None, End::Ended(status)) => ended(*status),
        };
        let how = match finished.last_lines.as_str() {
            "" => how,
            lines => format!(
                "{how}; the last lines it wrote: {}",
                lines.replace('\n', " | ")
            ),
        };
        Err(Error::Interrupted { name, how })
    }
}

fn ended(status: ChildStatus) -> String {
    match status {
        ChildStatus::Exited(code) => format!("exited with code {code} before it had answered"),
        ChildStatus::Signaled(signal) => format!("was ended by signal {signal}"),
        ChildStatus::Unknown => "is gone, and how it ended is not known".to_owned(),
    }
}

/// Passwords within addresses, as in `https://user:password@host/`.
fn secrets_in(kwargs: &Map<String, Value>) -> Vec<String> {
    let texts = kwargs.values().filter_map(Value::as_str);
    let passwords = texts.filter_map(|text| {
        let (_, rest) = text.split_once("://")?;
        let authority = rest.split('/').next()?;
        let (user, _) = authority.rsplit_once('@')?;
        Some(user.split_once(':').map_or(user, |(_, password)| password))
    });
    passwords.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::secrets_in;

    #[test]
    fn passwords_in_addresses_are_secrets() {
        let kwargs = json!({
            "repo_url": "https://me:hidden@example.org/dags.git",
            "other": "https://token@example.org/",
            "plain": "https://example.org/a@b",
            "ref": "main",
            "depth": 3,
        });
        let kwargs: &Map<_, _> = kwargs.as_object().unwrap();
        assert_eq!(secrets_in(kwargs), ["hidden", "token"]);
    }
}
