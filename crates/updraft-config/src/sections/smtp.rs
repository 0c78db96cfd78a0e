use std::time::Duration;

use crate::section::Section;

/// `[smtp]`.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// `smtp_host`: mail server.
    pub host: String,
    /// `smtp_port`: port of the mail server.
    pub port: u16,
    /// `smtp_starttls`: switch to TLS after connecting.
    pub starttls: bool,
    /// `smtp_ssl`: speak TLS from the start.
    pub ssl: bool,
    /// `smtp_mail_from`: sender, unless `[email] from_email` names one.
    pub mail_from: String,
    /// `smtp_timeout`: time one attempt may take.
    pub timeout: Duration,
    /// `smtp_retry_limit`: attempts at one mail.
    pub retry_limit: u32,
}

impl SmtpConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            host: section.text("smtp_host"),
            port: section.port("smtp_port"),
            starttls: section.flag("smtp_starttls"),
            ssl: section.flag("smtp_ssl"),
            mail_from: section.text("smtp_mail_from"),
            timeout: section.seconds("smtp_timeout"),
            retry_limit: section.count("smtp_retry_limit"),
        }
    }
}
