//! What plugins and providers bring along.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::plugins::Plugins;
use crate::question::Question;

/// Who is asked when it is not one class.
const AIRFLOW: &str = "airflow.plugins_manager";
const PROVIDERS: &str = "airflow.providers_manager";

/// What the control plane must ask Python for, in this installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Inventory {
    /// Whether there is a `task_instance_mutation_hook`.
    pub mutation_hook: bool,
    /// Names of listeners by hook, in the order in which they are called.
    pub listeners: BTreeMap<String, Vec<String>>,
    pub timetables: Vec<String>,
    pub priority_weight_strategies: Vec<String>,
    pub partition_mappers: Vec<String>,
    pub windows: Vec<String>,
    pub deadline_references: Vec<String>,
    /// Why plugins could not be loaded, by their source.
    pub import_errors: BTreeMap<String, String>,
}

/// Plugins as they are shown.
#[derive(Clone, Debug, Deserialize)]
pub struct PluginInfo {
    /// As `GET /plugins` lists them.
    pub plugins: Vec<Value>,
    /// Why plugins are not listed, by their name.
    pub invalid: BTreeMap<String, String>,
    /// As `airflow plugins` prints them.
    pub for_people: Vec<Map<String, Value>>,
    /// Why plugins could not be loaded, by their source.
    pub import_errors: IndexMap<String, String>,
}

/// A provider package.
#[derive(Clone, Debug, Deserialize)]
pub struct ProviderInfo {
    pub name: String,
    pub version: String,
    pub data: Value,
}

/// Providers as they are shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Providers {
    pub providers: Vec<ProviderInfo>,
    /// What each command of `airflow providers` prints.
    pub tables: BTreeMap<String, Vec<Map<String, Value>>>,
}

impl Plugins {
    /// What this installation must be asked for. The answer is kept.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn inventory(&self) -> Result<Inventory, Error> {
        let question = Question::new("DescribePlugins", AIRFLOW, "loading plugins", &json!({}));
        self.ask_once(question).await
    }

    /// Lists plugins. The answer is kept.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn plugin_info(&self) -> Result<PluginInfo, Error> {
        let question = Question::new("GetPluginInfo", AIRFLOW, "listing plugins", &json!({}));
        self.ask_once(question).await
    }

    /// Lists providers. The answer is kept.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn providers(&self) -> Result<Providers, Error> {
        let question = Question::new("GetProviders", PROVIDERS, "listing providers", &json!({}));
        self.ask_once(question).await
    }

    /// What `[core] hostname_callable` gives.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn hostname(&self, callable: &str) -> Result<String, Error> {
        let question = Question::new("GetHostname", callable, "hostname_callable", &json!({}));
        self.ask_once(question).await
    }
}
