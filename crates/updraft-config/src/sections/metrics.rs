use std::time::Duration;

use crate::section::Section;

/// `[metrics]`.
#[derive(Clone, Debug)]
pub struct MetricsConfig {
    /// `metrics_allow_list`: prefixes or patterns, between commas, of the only metrics to send.
    pub allow_list: Vec<String>,
    /// `metrics_block_list`: prefixes or patterns, between commas, of metrics not to send.
    pub block_list: Vec<String>,
    /// `legacy_names_on`: also send the names without tags that Airflow 2 used.
    pub legacy_names_on: bool,
    /// `statsd_on`: send metrics to a StatsD server.
    pub statsd_on: bool,
    /// `statsd_host`: the StatsD server.
    pub statsd_host: String,
    /// `statsd_port`: its port.
    pub statsd_port: u16,
    /// `statsd_ipv6`: reach it over IPv6.
    pub statsd_ipv6: bool,
    /// `statsd_prefix`: first part of every StatsD name.
    pub statsd_prefix: String,
    /// `statsd_datadog_enabled`: write tags as Datadog does.
    pub statsd_datadog_enabled: bool,
    /// `statsd_datadog_tags`: `name:value` tags, between commas, on every metric.
    pub statsd_datadog_tags: Vec<String>,
    /// `statsd_datadog_metrics_tags`: send the tags of each metric, too.
    pub statsd_datadog_metrics_tags: bool,
    /// `statsd_influxdb_enabled`: write tags as InfluxDB does.
    pub statsd_influxdb_enabled: bool,
    /// `statsd_disabled_tags`: tags, between commas, that are left out.
    pub statsd_disabled_tags: Vec<String>,
    /// `otel_on`: send metrics to an OpenTelemetry collector.
    pub otel_on: bool,
    /// `otel_host`: the collector.
    pub otel_host: String,
    /// `otel_port`: its port.
    pub otel_port: u16,
    /// `otel_prefix`: first part of every OpenTelemetry name.
    pub otel_prefix: String,
    /// `otel_interval_milliseconds`: pause between two exports.
    pub otel_interval: Duration,
    /// `otel_service`: service name that the collector shows.
    pub otel_service: String,
    /// `otel_ssl_active`: reach the collector over HTTPS.
    pub otel_ssl_active: bool,
}

/// Airflow reads these and lists them without a default, as deprecated in favour of the
/// `OTEL_…` variables; the fallbacks are those of its code.
const OTEL_HOST: &str = "localhost";
const OTEL_PORT: u16 = 8889;
const OTEL_INTERVAL: Duration = Duration::from_secs(60);
const OTEL_SERVICE: &str = "Airflow";

impl MetricsConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            allow_list: section.list("metrics_allow_list"),
            block_list: section.list("metrics_block_list"),
            legacy_names_on: section.flag("legacy_names_on"),
            statsd_on: section.flag("statsd_on"),
            statsd_host: section.text("statsd_host"),
            statsd_port: section.port("statsd_port"),
            statsd_ipv6: section.flag("statsd_ipv6"),
            statsd_prefix: section.text("statsd_prefix"),
            statsd_datadog_enabled: section.flag("statsd_datadog_enabled"),
            statsd_datadog_tags: section.list("statsd_datadog_tags"),
            statsd_datadog_metrics_tags: section.flag("statsd_datadog_metrics_tags"),
            statsd_influxdb_enabled: section.flag("statsd_influxdb_enabled"),
            statsd_disabled_tags: section.list("statsd_disabled_tags"),
            otel_on: section.flag("otel_on"),
            otel_host: section
                .optional_text("otel_host")
                .unwrap_or_else(|| OTEL_HOST.to_owned()),
            otel_port: section.optional_port("otel_port").unwrap_or(OTEL_PORT),
            otel_prefix: section.text("otel_prefix"),
            otel_interval: section
                .optional_milliseconds("otel_interval_milliseconds")
                .unwrap_or(OTEL_INTERVAL),
            otel_service: section
                .optional_text("otel_service")
                .unwrap_or_else(|| OTEL_SERVICE.to_owned()),
            otel_ssl_active: section.optional_flag("otel_ssl_active").unwrap_or(false),
        }
    }
}
