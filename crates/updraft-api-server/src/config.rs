//! The settings of this installation, where the administrator lets them be seen.

use updraft_config::{ExposeConfig, ShownSection};
use updraft_rest_api::config::{Config, ConfigOption, ConfigSection};

use crate::call::{Answer, Call, ok, text_answer};
use crate::error::ApiError;

/// `GET /config`: everything, or one section.
pub(crate) async fn list(call: Call) -> Answer {
    let query = call.query();
    let wanted = query.text("section");
    query.finish()?;
    let kind = call.json_or_text()?;
    require_exposed(&call)?;
    let mut sections = call.state.settings().values.shown();
    if let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) {
        sections.retain(|section| section.name == wanted);
        if sections.is_empty() {
            let detail = format!("Section {wanted} not found.");
            return Err(ApiError::not_found(detail));
        }
    }
    let sections = sections.into_iter().map(section).collect();
    answer(kind, &Config { sections })
}

/// `GET /config/section/{section}/option/{option}`.
pub(crate) async fn get(call: Call) -> Answer {
    let kind = call.json_or_text()?;
    require_exposed(&call)?;
    let (section, option) = (call.path("section"), call.path("option"));
    let values = &call.state.settings().values;
    let value = values
        .shown_value(section, option)
        .ok_or_else(|| ApiError::not_found(format!("Option [{section}/{option}] not found.")))?;
    let option = ConfigOption {
        key: option.to_owned(),
        value: value.to_owned(),
    };
    let section = ConfigSection {
        name: section.to_owned(),
        options: vec![option],
    };
    answer(
        kind,
        &Config {
            sections: vec![section],
        },
    )
}

fn section(shown: ShownSection) -> ConfigSection {
    let options = shown.options.into_iter();
    ConfigSection {
        name: shown.name,
        options: options
            .map(|(key, value)| ConfigOption { key, value })
            .collect(),
    }
}

fn require_exposed(call: &Call) -> Result<(), ApiError> {
    match call.state.settings().api.expose_config {
        ExposeConfig::NonSensitive => Ok(()),
        ExposeConfig::Never => Err(ApiError::forbidden(
            "Your Airflow administrator chose not to expose the configuration, most likely for \
             security reasons.",
        )),
    }
}

fn answer(kind: &'static str, config: &Config) -> Answer {
    if kind == "text/plain" {
        return Ok(text_answer(config.to_text()));
    }
    ok(config)
}
