//! Contract tests over sessions recorded from task-sdk 1.3, and properties of the machine.

#[cfg(test)]
mod capture;
#[cfg(test)]
mod driver;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod json;
#[cfg(test)]
mod log_lines;
#[cfg(test)]
mod masker;
#[cfg(test)]
mod message_fields;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod resumption;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod session;
#[cfg(test)]
mod triggerer;
