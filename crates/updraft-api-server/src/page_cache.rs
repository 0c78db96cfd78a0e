//! Answers that are asked for again and again, kept as bytes for as long as nothing changed.
//!
//! An answer is used only when the store says, at the time of the request, that nobody committed
//! anything since the answer was made; so a cached answer equals a fresh one. PostgreSQL cannot say
//! that cheaply, so nothing is kept there.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use updraft_store::Store;
use updraft_store::listing::DataVersion;

use crate::error::ApiError;

/// Answers kept at a time: a page or two of a few views, for a few users.
const PAGES_MAX: usize = 256;

/// Larger answers are made again each time.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Answers of one version of the store.
#[derive(Default)]
struct Pages {
    version: i64,
    answers: HashMap<String, Bytes>,
}

/// The cache.
pub(crate) struct PageCache {
    version: DataVersion,
    pages: Mutex<Pages>,
}

impl PageCache {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            version: DataVersion::new(store),
            pages: Mutex::new(Pages::default()),
        }
    }

    /// The answer to `key`, made by `make` unless a kept one is still true.
    pub(crate) async fn get<F>(
        &self,
        key: String,
        make: impl FnOnce() -> F,
    ) -> Result<Bytes, ApiError>
    where
        F: Future<Output = Result<Bytes, ApiError>>,
    {
        let Some(version) = self.version.now().await? else {
            return make().await;
        };
        if let Some(answer) = self.find(version, &key) {
            return Ok(answer);
        }
        let answer = make().await?;
        // Whoever commits in between makes the version newer, so this answer is not used then.
        self.keep(version, key, &answer);
        Ok(answer)
    }

    fn find(&self, version: i64, key: &str) -> Option<Bytes> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.version != version {
            return None;
        }
        pages.answers.get(key).cloned()
    }

    fn keep(&self, version: i64, key: String, answer: &Bytes) {
        if answer.len() > PAGE_BYTES_MAX {
            return;
        }
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.version != version || pages.answers.len() >= PAGES_MAX {
            pages.answers.clear();
            pages.version = version;
        }
        pages.answers.insert(key, answer.clone());
    }
}
