//! Conditions over assets: what must have been updated before a run is due.
//!
//! Source: fact sheet "scheduling semantics" §2.5, runtime protocols §4.7.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use updraft_model::asset::AssetKey;

use crate::Error;

#[cfg(test)]
mod tests;

/// Conditions are nested by hand; deeper is a mistake.
const DEPTH_MAX: usize = 64;

/// How much of a value an error message repeats.
const FOUND_CHARS_MAX: usize = 120;

/// A condition, as it stands in a timetable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssetCondition {
    /// The asset was updated.
    Asset(AssetKey),
    /// Any asset that the alias stands for was updated.
    Alias(String),
    /// The active asset of this name was updated.
    NameRef(String),
    /// The active asset of this URI was updated.
    UriRef(String),
    /// Every member holds; of no members, it holds.
    All(Vec<AssetCondition>),
    /// Some member holds; of no members, it does not.
    Any(Vec<AssetCondition>),
}

/// What aliases and references stand for at the moment; what is missing stands for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedAssets {
    /// Assets attached to an alias, by its name.
    pub of_aliases: BTreeMap<String, Vec<AssetKey>>,
    /// Active assets by name.
    pub by_name: BTreeMap<String, AssetKey>,
    /// Active assets by URI.
    pub by_uri: BTreeMap<String, AssetKey>,
}

/// An asset or a reference to one, met in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetMention<'a> {
    /// An asset by name and URI.
    Asset(&'a AssetKey),
    /// An alias by name.
    Alias(&'a str),
    /// A reference by name.
    NameRef(&'a str),
    /// A reference by URI.
    UriRef(&'a str),
}

impl AssetCondition {
    /// Reads a serialized asset expression.
    ///
    /// # Errors
    /// [`Error::NotAnAssetCondition`] with the part that is none.
    pub fn from_serialized(value: &Value) -> Result<Self, Error> {
        read(value, 0)
    }

    /// Whether the condition holds when exactly the assets of `updated` were updated.
    #[must_use]
    pub fn is_met(&self, updated: &BTreeSet<AssetKey>, resolved: &ResolvedAssets) -> bool {
        let was_updated = |key: Option<&AssetKey>| key.is_some_and(|key| updated.contains(key));
        match self {
            Self::Asset(key) => updated.contains(key),
            Self::Alias(name) => resolved
                .of_aliases
                .get(name)
                .is_some_and(|keys| keys.iter().any(|key| updated.contains(key))),
            Self::NameRef(name) => was_updated(resolved.by_name.get(name)),
            Self::UriRef(uri) => was_updated(resolved.by_uri.get(uri)),
            Self::All(members) => members.iter().all(|each| each.is_met(updated, resolved)),
            Self::Any(members) => members.iter().any(|each| each.is_met(updated, resolved)),
        }
    }

    /// Everything that the condition names, from left to right, repetitions included.
    #[must_use]
    pub fn mentions(&self) -> Vec<AssetMention<'_>> {
        let mut mentions = Vec::new();
        self.collect(&mut mentions);
        mentions
    }

    fn collect<'a>(&'a self, mentions: &mut Vec<AssetMention<'a>>) {
        mentions.push(match self {
            Self::Asset(key) => AssetMention::Asset(key),
            Self::Alias(name) => AssetMention::Alias(name),
            Self::NameRef(name) => AssetMention::NameRef(name),
            Self::UriRef(uri) => AssetMention::UriRef(uri),
            Self::All(members) | Self::Any(members) => {
                members.iter().for_each(|member| member.collect(mentions));
                return;
            }
        });
    }
}

fn read(value: &Value, depth: usize) -> Result<AssetCondition, Error> {
    let refuse = |expected| Error::NotAnAssetCondition {
        expected,
        found: value.to_string().chars().take(FOUND_CHARS_MAX).collect(),
    };
    if depth > DEPTH_MAX {
        return Err(refuse("a condition that is not nested so deeply"));
    }
    let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
    let members = || -> Result<Vec<AssetCondition>, Error> {
        let objects = value.get("objects").and_then(Value::as_array);
        let objects = objects.ok_or_else(|| refuse("a list `objects`"))?;
        objects
            .iter()
            .map(|member| read(member, depth + 1))
            .collect()
    };
    Ok(match value.get("__type").and_then(Value::as_str) {
        Some("asset") => {
            let name = text("name").ok_or_else(|| refuse("an asset with a `name`"))?;
            let uri = text("uri").unwrap_or_else(|| name.clone());
            AssetCondition::Asset(AssetKey { name, uri })
        }
        Some("asset_alias") => {
            AssetCondition::Alias(text("name").ok_or_else(|| refuse("an alias with a `name`"))?)
        }
        Some("asset_ref") => match (text("name"), text("uri")) {
            (Some(name), _) => AssetCondition::NameRef(name),
            (None, Some(uri)) => AssetCondition::UriRef(uri),
            (None, None) => return Err(refuse("a reference with a `name` or a `uri`")),
        },
        Some("asset_all") => AssetCondition::All(members()?),
        Some("asset_any") => AssetCondition::Any(members()?),
        _ => {
            return Err(refuse(
                "an asset, an alias, a reference, or `all` or `any` of them",
            ));
        }
    })
}
