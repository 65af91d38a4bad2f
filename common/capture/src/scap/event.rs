//! An event as it is recorded. Its parameters stay where they are in the input.

use super::block::EventForm;
use super::bytes::Bytes;
use super::event_type::EventType;
use super::table::{Table, TypeInfo};

/// An event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    /// Time: ns since the Unix epoch; 0 in old captures for facts from before the beginning.
    pub(super) at: u64,
    /// The thread. For a switch: the one that leaves the core.
    pub(super) tid: i64,
    /// The core.
    pub(super) cpu: u16,
    /// Its type.
    pub(super) info: &'static TypeInfo,
    /// Number of parameters.
    pub(super) count: u8,
    params: Params<'a>,
}

/// Parameters back to back, and the length of each.
#[derive(Debug, Clone, Copy)]
struct Params<'a> {
    lengths: &'a [u8],
    /// Lengths have four bytes instead of two.
    wide: bool,
    data: &'a [u8],
}

/// Why an event cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// This version does not know its type.
    UnknownType,
    /// Its lengths contradict each other.
    Corrupt,
}

impl<'a> Event<'a> {
    /// The event in the body of a block.
    #[inline]
    pub(super) fn read(
        body: &'a [u8],
        form: EventForm,
        table: &'static Table,
    ) -> Result<Self, Unreadable> {
        Self::parse(body, form, table).unwrap_or(Err(Unreadable::Corrupt))
    }

    #[inline]
    fn parse(
        body: &'a [u8],
        form: EventForm,
        table: &'static Table,
    ) -> Option<Result<Self, Unreadable>> {
        let mut rest = Bytes(body);
        let cpu = rest.u16()?;
        if form.flags {
            // They say that a filter hid the event when it was shown; it happened all the same.
            rest.u32()?;
        }
        let begin = rest.0.len();
        let at = rest.u64()?;
        let tid = rest.i64()?;
        let mut length = rest.u32()? as usize;
        let Some(info) = table.by_number(rest.u16()?) else {
            return Some(Err(Unreadable::UnknownType));
        };
        let counted = if form.counted {
            Some(rest.u32()?)
        } else {
            // The old form of two types says three bytes too many.
            if matches!(
                info.event_type,
                EventType::NOTIFICATION_E | EventType::INFRASTRUCTURE_EVENT_E
            ) {
                length = length.checked_sub(3)?;
            }
            None
        };
        let header = begin - rest.0.len();
        let content = rest.0.get(..length.checked_sub(header)?)?;
        let width = if info.wide { 4 } else { 2 };
        let count = match counted {
            Some(count) => usize::try_from(count).ok()?,
            None => infer(content, usize::from(info.params), info.wide)?,
        };
        let (lengths, data) = content.split_at_checked(count.checked_mul(width)?)?;
        Some(Ok(Self {
            at,
            tid,
            cpu,
            info,
            // A newer writer may append parameters: the known ones come first.
            count: count.min(usize::from(info.params)) as u8,
            params: Params {
                lengths,
                wide: info.wide,
                data,
            },
        }))
    }

    /// The parameter at `index`; `None` if it is missing or empty.
    #[inline]
    pub(super) fn get(&self, index: u8) -> Option<&'a [u8]> {
        let params = &self.params;
        let index = usize::from(index);
        let mut begin = 0usize;
        let length;
        if params.wide {
            for before in 0..index {
                begin = begin.checked_add(wide(params.lengths, before)?)?;
            }
            length = wide(params.lengths, index)?;
        } else {
            let lengths = params.lengths.get(..index * 2 + 2)?;
            let (own, before) = (&lengths[index * 2..], &lengths[..index * 2]);
            for pair in before.chunks_exact(2) {
                begin += usize::from(u16::from_le_bytes([pair[0], pair[1]]));
            }
            length = usize::from(u16::from_le_bytes([own[0], own[1]]));
        }
        if length == 0 {
            return None;
        }
        params.data.get(begin..begin.checked_add(length)?)
    }
}

fn wide(lengths: &[u8], index: usize) -> Option<usize> {
    let bytes = lengths.get(index * 4..index * 4 + 4)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
}

/// The number of parameters of an event of the old form. It is not recorded, but lengths and
/// parameters fill the event exactly.
fn infer(content: &[u8], max: usize, is_wide: bool) -> Option<usize> {
    let width = if is_wide { 4 } else { 2 };
    (0..=max).rev().find(|count| {
        let mut sum = count * width;
        for index in 0..*count {
            let length = if is_wide {
                wide(content, index)
            } else {
                content
                    .get(index * 2..index * 2 + 2)
                    .map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])))
            };
            match length {
                Some(length) => sum = sum.saturating_add(length),
                None => return false,
            }
        }
        sum == content.len()
    })
}
