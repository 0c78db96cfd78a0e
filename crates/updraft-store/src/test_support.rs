//! What the integration tests use, for tests that need to see inside.

#[path = "../tests/it/backends.rs"]
pub(crate) mod backends;
#[path = "../tests/it/fixtures.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
pub(crate) mod fixtures;
