use crate::section::Section;

/// `[operators]`.
#[derive(Clone, Debug)]
pub struct OperatorsConfig {
    /// `default_queue`: queue of tasks that name none, and of workers started without one.
    pub default_queue: String,
    /// `default_owner`: owner of tasks that name none.
    pub default_owner: String,
}

impl OperatorsConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            default_queue: section.text("default_queue"),
            default_owner: section.text("default_owner"),
        }
    }
}
