//! How any one field is put into words: a value, a list, a range, a step.

/// What a field says in each case. `{0}` and `{1}` stand for values.
pub(super) struct Phrases<'a> {
    /// For `*`.
    pub(super) all: &'a str,
    /// One value in words; `None` when it has none.
    pub(super) item: &'a dyn Fn(&str) -> Option<String>,
    /// For a step, given its size.
    pub(super) step: &'a dyn Fn(&str) -> &'static str,
    /// For a range that is the whole field.
    pub(super) between: &'a str,
    /// For a value or a list, given the field.
    pub(super) list: &'a dyn Fn(&str) -> String,
}

/// For a range that is part of a list.
const RANGE: &str = ", {0} through {1}";

impl Phrases<'_> {
    /// The field in words; `None` when some part has no words.
    pub(super) fn describe(&self, field: &str) -> Option<String> {
        if field == "*" {
            return Some(self.all.to_owned());
        }
        if field.contains(',') {
            return self.describe_list(field);
        }
        if let Some((base, step)) = field.split_once('/') {
            return self.describe_step(base, step);
        }
        if field.contains('-') {
            return self.between(self.between, field);
        }
        Some(fill(&(self.list)(field), &[&(self.item)(field)?]))
    }

    /// A range; a last hour is named to its last minute.
    pub(super) fn between(&self, phrase: &str, range: &str) -> Option<String> {
        let mut bounds = range.split('-');
        let from = (self.item)(bounds.next()?)?;
        let to = (self.item)(bounds.next()?)?.replace(":00", ":59");
        Some(fill(phrase, &[&from, &to]))
    }

    fn describe_list(&self, field: &str) -> Option<String> {
        let items: Option<Vec<String>> =
            field.split(',').map(|item| self.list_item(item)).collect();
        let items = items?;
        let (last, others) = items.split_last()?;
        let comma = if items.len() > 2 { "," } else { "" };
        let content = format!("{}{comma} and {last}", others.join(", "));
        Some(fill(&(self.list)(field), &[&content]))
    }

    fn list_item(&self, item: &str) -> Option<String> {
        let Some((base, step)) = item.split_once('/') else {
            return if item.contains('-') {
                Some(self.between(RANGE, item)?.replace(", ", ""))
            } else {
                (self.item)(item)
            };
        };
        let phrase = fill((self.step)(step), &[step]);
        let phrase = phrase.strip_prefix(", ").unwrap_or(&phrase);
        Some(if base.contains('-') {
            let range = self.between(RANGE, base)?.replace(", ", "");
            format!("{phrase}, {range}")
        } else if base == "*" {
            phrase.to_owned()
        } else {
            // Where the step starts should follow; the package lost those words.
            (self.item)(base)?;
            format!("{phrase}, ")
        })
    }

    fn describe_step(&self, base: &str, step: &str) -> Option<String> {
        let phrase = fill((self.step)(step), &[step]);
        Some(if base.contains('-') {
            let range = self.between(self.between, base)?;
            let comma = if range.starts_with(", ") { "" } else { ", " };
            format!("{phrase}{comma}{range}")
        } else if base.contains('*') {
            phrase
        } else {
            let start = fill(&(self.list)(base), &[&(self.item)(base)?]).replace(", ", "");
            format!("{phrase}, starting {start}")
        })
    }
}

/// Puts values in the places of `{0}`, `{1}`.
pub(super) fn fill(phrase: &str, values: &[&str]) -> String {
    let mut text = phrase.to_owned();
    for (index, value) in values.iter().enumerate() {
        text = text.replace(&format!("{{{index}}}"), value);
    }
    text
}
