//! `updraft standalone`.

use std::path::PathBuf;

/// Settings that only this command takes; flags go before the environment and the file.
#[derive(Debug, clap::Args)]
pub(crate) struct StandaloneArgs {
    /// Load the example Dags that come with Airflow, too
    #[arg(long)]
    pub(crate) with_examples: bool,
    /// The home folder, instead of AIRFLOW_HOME
    #[arg(long, value_name = "FOLDER")]
    pub(crate) home: Option<PathBuf>,
    /// The port of the web server, instead of `[api] port`
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The address of the web server, instead of `[api] host`
    #[arg(long)]
    pub(crate) host: Option<String>,
}
