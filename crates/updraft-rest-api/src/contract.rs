//! Which operations Airflow's public API has, and which of them are not served yet.
//!
//! `contract/operations.txt` lists all (method, path, operation id), taken from the OpenAPI file of
//! the release this project follows; `contract/missing.txt` may only get shorter.

/// An operation of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContractOperation {
    pub method: &'static str,
    /// With named parameters in braces.
    pub path: &'static str,
    pub id: &'static str,
}

/// Every operation of the public API.
pub fn operations() -> impl Iterator<Item = ContractOperation> {
    parse(include_str!("../contract/operations.txt"))
}

/// Operations that answer "not available".
pub fn missing() -> impl Iterator<Item = ContractOperation> {
    parse(include_str!("../contract/missing.txt"))
}

fn parse(text: &'static str) -> impl Iterator<Item = ContractOperation> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(ContractOperation {
            method: words.next()?,
            path: words.next()?,
            id: words.next()?,
        })
    })
}
