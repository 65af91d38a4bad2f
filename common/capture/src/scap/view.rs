//! Events read as if all had the newest form, with the help of the beginning of the call.

use super::bytes::until_nul;
use super::event::Event;
use super::event_type::EventType;
use super::table::{Conversion, ParamSource};

/// Parameters of the beginning of a call that are kept; no call of interest has more.
const MAX_PARAMS: usize = 6;
/// Longest parameters that are kept, in bytes: a path as long as writers have them.
const MAX_PARAM_BYTES: usize = 1_280;
/// Capacity that a thread retains for them, in bytes.
const RETAINED_CAPACITY: usize = 256;

/// An event, read as if it had the newest form.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) event: &'a Event<'a>,
    conversion: Option<&'a Conversion>,
    /// The beginning of the call, if one is kept.
    enter: Option<&'a Enter>,
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn new(
        event: &'a Event<'a>,
        conversion: Option<&'a Conversion>,
        enter: Option<&'a Enter>,
    ) -> Self {
        Self {
            event,
            conversion,
            enter,
        }
    }

    /// The parameter at `index`; `None` if it is missing or empty.
    #[inline]
    pub(super) fn get(&self, index: u8) -> Option<&'a [u8]> {
        let Some(conversion) = self.conversion else {
            return self.event.get(index);
        };
        match conversion.source(index) {
            ParamSource::Own(index) => self.event.get(index),
            ParamSource::Enter(index) => self
                .enter
                .filter(|enter| enter.event_type == conversion.enter)?
                .get(index),
            ParamSource::Empty => None,
        }
    }

    /// The parameter at `index` of the beginning of the call, if it is text that the kernel
    /// could read.
    pub(super) fn name_before(&self, index: u8) -> Option<&'a [u8]> {
        let of = self.conversion.map(|conversion| conversion.event_type);
        let of = of.unwrap_or(self.event.info.event_type);
        let enter = self.enter?;
        if enter.event_type.is_none() || enter.event_type != of.enter() {
            return None;
        }
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

/// The parameters of a call that has begun, until it ends.
#[derive(Debug, Default)]
pub(super) struct Enter {
    /// The type of the event, in its newest form. `None`: no call is kept.
    event_type: Option<EventType>,
    ends: [u16; MAX_PARAMS],
    data: Vec<u8>,
}

impl Enter {
    /// Whether no call is kept.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.event_type.is_none()
    }

    /// Keeps the parameters of an event.
    pub(super) fn keep(&mut self, event: &Event<'_>) {
        let conversion = event.info.conversion(event.count);
        let becomes = conversion.map(|conversion| conversion.event_type);
        self.event_type = Some(becomes.unwrap_or(event.info.event_type));
        self.data.clear();
        let view = View::new(event, conversion, None);
        for (index, end) in (0u8..).zip(&mut self.ends) {
            let param = view.get(index).unwrap_or_default();
            if self.data.len() + param.len() <= MAX_PARAM_BYTES {
                self.data.extend_from_slice(param);
            }
            *end = self.data.len() as u16;
        }
    }

    fn get(&self, index: u8) -> Option<&[u8]> {
        let index = usize::from(index);
        let end = usize::from(*self.ends.get(index)?);
        let begin = match index {
            0 => 0,
            _ => usize::from(self.ends[index - 1]),
        };
        self.data.get(begin..end).filter(|param| !param.is_empty())
    }

    /// Forgets the call: it has ended.
    pub(super) fn clear(&mut self) {
        self.event_type = None;
        self.data.clear();
        self.data.shrink_to(RETAINED_CAPACITY);
    }
}

/// Whether the probe could read a text: it writes a placeholder where it could not.
pub(super) fn is_name(bytes: &[u8]) -> bool {
    let bytes = until_nul(bytes);
    !bytes.is_empty() && bytes != b"<NA>" && bytes != b"(NULL)"
}
