use crate::section::Section;

/// `[state_store]`.
#[derive(Clone, Debug)]
pub struct StateStoreConfig {
    /// `backend`: Python class that keeps task and asset state; the default is the store.
    pub backend: String,
    /// `clear_on_success`: forget a task's state when it succeeds.
    pub clear_on_success: bool,
    /// `default_retention_days`: days a value is kept when it sets no end; 0 means for ever.
    pub default_retention_days: u32,
    /// `state_cleanup_batch_size`: rows that one step of the clean-up removes; 0 means all.
    pub state_cleanup_batch_size: u32,
    /// `max_value_storage_bytes`: largest value that is accepted; 0 means no limit.
    pub max_value_storage_bytes: u64,
}

impl StateStoreConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            backend: section.text("backend"),
            clear_on_success: section.flag("clear_on_success"),
            default_retention_days: section.count("default_retention_days"),
            state_cleanup_batch_size: section.count("state_cleanup_batch_size"),
            max_value_storage_bytes: section.bytes("max_value_storage_bytes"),
        }
    }
}
