//! The entries of lists, which damage must not cost more than itself.

use super::bytes::Bytes;

/// Shortest entry of a list: a descriptor with an empty name.
const MIN_ENTRY: usize = 8 + 8 + 1 + 2;

/// The length of the next entry of a list without its own four bytes, which are read; `None` in
/// it: this list has no lengths. `None`: the list has ended, and the rest is padding.
fn next_entry(rest: &mut Bytes<'_>, sized: bool) -> Option<Option<usize>> {
    if rest.0.len() < 4 {
        return None;
    }
    Some(sized.then(|| (rest.u32().unwrap_or_default() as usize).saturating_sub(4)))
}

/// An entry of a list.
pub(super) struct Entry<T> {
    /// `None`: its bytes cannot be one.
    pub(super) value: Option<T>,
    /// It, its length, or the rest of the list is damaged.
    pub(super) is_damaged: bool,
}

/// Takes the entry at the beginning of `list`, with the function that reads its fields.
///
/// Newer writers append fields, so an entry ends where its length says. A damaged length must not
/// cost the entries after it: where none can follow, the entry ends with its fields.
pub(super) fn take_entry<'a, T>(
    list: &mut Bytes<'a>,
    sized: bool,
    read: impl FnOnce(&mut Bytes<'a>) -> Option<T>,
) -> Option<Entry<T>> {
    let mut begin = *list;
    let length = next_entry(&mut begin, sized)?;
    let mut after = begin;
    let value = read(&mut after);
    let (rest, is_damaged) = match length {
        None if value.is_some() => (after, false),
        None => (Bytes(&[]), true),
        Some(length) => match begin.0.get(length..).map(Bytes).filter(can_follow) {
            Some(rest) => {
                let fits = begin.0.len() - after.0.len() <= length;
                *list = rest;
                return Some(Entry {
                    is_damaged: !fits || value.is_none(),
                    value: value.filter(|_| fits),
                });
            }
            None if value.is_some() && can_follow(&after) => (after, true),
            None => (Bytes(&[]), true),
        },
    };
    *list = rest;
    Some(Entry { value, is_damaged })
}

/// Whether a list with lengths can go on so.
fn can_follow(rest: &Bytes<'_>) -> bool {
    let mut next = *rest;
    let length = next_entry(&mut next, true).flatten();
    length.is_none_or(|length| length >= MIN_ENTRY && length <= next.0.len())
}
