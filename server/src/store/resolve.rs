//! Which container a text means: an id as it is stored, or a part of a full id.

use bubble_common::segment::ContainerId;
use bubble_common::short_id::{SHORT_DIGITS, is_full, short_form};

use super::Store;
use super::binding::{Binding, of_twin};
use super::error::StoreError;

/// Containers with one short id that are looked for, besides the one stored under it.
pub const MAX_TWINS: usize = 8;

/// The meaning of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// One container, which need not exist.
    One(ContainerId),
    /// Several containers: their full ids, or longer parts of them, tell them apart.
    Several(Vec<String>),
    /// No id.
    Invalid,
}

/// Finds out which container `text` means. 12 to 64 hexadecimal digits are the beginning of a full id;
/// anything else is an id as it is stored.
///
/// # Errors
/// When the store fails.
pub async fn resolve(store: &dyn Store, text: &str) -> Result<Meaning, StoreError> {
    let Ok(id) = ContainerId::new(text) else {
        return Ok(Meaning::Invalid);
    };
    let Some(Ok(short)) = short_form(text).map(ContainerId::new) else {
        return Ok(Meaning::One(id));
    };
    let is_part = text.len() != SHORT_DIGITS && !is_full(text);
    if is_part && store.container(&id).await?.is_some() {
        return Ok(Meaning::One(id));
    }
    let bound = store.binding(short.as_str()).await?;
    let full = bound.map(|bound| bound.identity).unwrap_or_default();
    let mut found = Vec::new();
    // Without a full id it was stored before those were noted, or by a source that knows the short one.
    if full.is_empty() || full.starts_with(text) {
        found.push((short, full));
    }
    for number in 1..=MAX_TWINS {
        let Some(Binding { identity, .. }) = store.binding(&of_twin(&id, number)).await? else {
            break;
        };
        // It may have been deleted.
        if identity.starts_with(text)
            && let Ok(twin) = ContainerId::new(&identity)
            && store.container(&twin).await?.is_some()
        {
            found.push((twin, identity));
        }
    }
    Ok(match found.pop() {
        None => Meaning::One(id),
        Some((only, _)) if found.is_empty() => Meaning::One(only),
        Some(last) => {
            found.push(last);
            let name = |(id, full): (ContainerId, String)| match full.is_empty() {
                true => id.as_str().to_owned(),
                false => full,
            };
            Meaning::Several(found.into_iter().map(name).collect())
        }
    })
}
