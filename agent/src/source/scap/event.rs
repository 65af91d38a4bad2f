//! An event as it is recorded: who, when, what, and its parameters, which stay where
//! they are in the input.

use super::block::EventForm;
use super::bytes::{Bytes, until_nul};
use super::state::thread::Enter;
use super::table::{Place, Plan, Table};

/// An event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    /// When: ns since the Unix epoch; 0 for what was known before in old captures.
    pub(super) at: u64,
    /// The thread; of a switch, the one that leaves the core.
    pub(super) tid: i64,
    /// The core.
    pub(super) cpu: u16,
    /// What happened.
    pub(super) code: u16,
    /// How many parameters there are.
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

/// Why there is no event to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// A type that this version does not know.
    Unknown,
    /// It contradicts itself.
    Corrupt,
}

impl<'a> Event<'a> {
    /// The event in the body of a block.
    #[inline]
    pub(super) fn read(body: &'a [u8], form: EventForm, table: &Table) -> Result<Self, Unread> {
        Self::parse(body, form, table).unwrap_or(Err(Unread::Corrupt))
    }

    #[inline]
    fn parse(body: &'a [u8], form: EventForm, table: &Table) -> Option<Result<Self, Unread>> {
        let mut rest = Bytes(body);
        let cpu = rest.u16()?;
        if form.flags {
            // They say that a filter hid the event from being shown; it happened all the same.
            rest.u32()?;
        }
        let begin = rest.0.len();
        let at = rest.u64()?;
        let tid = rest.i64()?;
        let mut length = rest.u32()? as usize;
        let code = rest.u16()?;
        let Some(known) = table.code(code) else {
            return Some(Err(Unread::Unknown));
        };
        let counted = if form.counted {
            Some(rest.u32()?)
        } else {
            // Two types say three bytes too many in the old form.
            if matches!(code, 280 | 286) {
                length = length.checked_sub(3)?;
            }
            None
        };
        let header = begin - rest.0.len();
        let content = rest.0.get(..length.checked_sub(header)?)?;
        let width = if known.wide { 4 } else { 2 };
        let count = match counted {
            Some(count) => usize::try_from(count).ok()?,
            None => infer(content, usize::from(known.params), known.wide)?,
        };
        let (lengths, data) = content.split_at_checked(count.checked_mul(width)?)?;
        Some(Ok(Self {
            at,
            tid,
            cpu,
            code,
            // A newer writer may have more than we know: what we know comes first.
            count: count.min(usize::from(known.params)) as u8,
            params: Params {
                lengths,
                wide: known.wide,
                data,
            },
        }))
    }

    /// The parameter at `index`; nothing when it is not there, or is empty.
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

/// How many parameters an event of the old form has: it does not say, but lengths and
/// parameters fill it exactly.
fn infer(content: &[u8], most: usize, is_wide: bool) -> Option<usize> {
    let width = if is_wide { 4 } else { 2 };
    (0..=most).rev().find(|count| {
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

/// An event as if it were of the newest form.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) event: &'a Event<'a>,
    plan: Option<&'a Plan>,
    /// The call when it began, if what is kept of it belongs to this event.
    enter: Option<&'a Enter>,
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn new(
        event: &'a Event<'a>,
        plan: Option<&'a Plan>,
        enter: Option<&'a Enter>,
    ) -> Self {
        Self { event, plan, enter }
    }

    /// The parameter at `index`; nothing when it is not there, or is empty.
    #[inline]
    pub(super) fn get(&self, index: u8) -> Option<&'a [u8]> {
        let Some(plan) = self.plan else {
            return self.event.get(index);
        };
        match plan.place(index) {
            Place::Own(index) => self.event.get(index),
            Place::Enter(index) => self
                .enter
                .filter(|enter| Some(enter.code) == plan.enter)?
                .get(index),
            Place::Empty => None,
        }
    }

    /// The parameter at `index` when the call began, whether or not it is needed, if it is
    /// text that the kernel could read.
    pub(super) fn name_before(&self, index: u8) -> Option<&'a [u8]> {
        let code = self.plan.map_or(self.event.code, |plan| plan.code);
        let enter = self.enter.filter(|enter| enter.code + 1 == code)?;
        enter.get(index).filter(|name| is_name(name))
    }

    #[inline]
    pub(super) fn i64(&self, index: u8) -> Option<i64> {
        self.get(index)?.try_into().ok().map(i64::from_le_bytes)
    }

    #[inline]
    pub(super) fn u64(&self, index: u8) -> Option<u64> {
        self.get(index)?.try_into().ok().map(u64::from_le_bytes)
    }

    #[inline]
    pub(super) fn u32(&self, index: u8) -> Option<u32> {
        self.get(index)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// A flag or number of one, two or four bytes.
    pub(super) fn small(&self, index: u8) -> Option<u32> {
        match *self.get(index)? {
            [a] => Some(u32::from(a)),
            [a, b] => Some(u32::from(u16::from_le_bytes([a, b]))),
            [a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d])),
            _ => None,
        }
    }
}

/// Whether a text is one: what the probe could not read has these instead.
pub(super) fn is_name(bytes: &[u8]) -> bool {
    let bytes = until_nul(bytes);
    !bytes.is_empty() && bytes != b"<NA>" && bytes != b"(NULL)"
}
