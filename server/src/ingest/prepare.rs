//! Decoded segments become posts: checked, cut at the edges of packed spans, and summed up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bubble_common::legacy::Event;
use bubble_common::segment::codec::Effort;
use bubble_common::segment::{ContainerId, Key, Segment, SourceId};

use super::lanes::{Lanes, Sender};
use super::live::Notice;
use super::receipt::{Reason, Refusal};
use crate::span::activity::{Sums, activity};
use crate::span::unite::{keep_slots, slot_bit, slot_bits};
use crate::store::recording::Label;
use crate::store::segments::Post;

/// How far a segment may end in the future. Beyond that its host's clock is wrong.
const MAX_AHEAD: Duration = Duration::from_secs(3_600);

/// Age beyond which a live segment is refused for now. A spool holds what a host counted while the
/// server was away, which may be weeks; beyond that a clock is more likely to be wrong.
const MAX_AGE: Duration = Duration::from_secs(92 * 86_400);

/// Memory to decode a post with, as a multiple of its length.
pub(super) const DECODING_PER_BYTE: usize = 8;

/// Age beyond which a legacy post must come from a capture that is played back.
const MAX_LIVE_AGE: Duration = Duration::from_secs(86_400);

/// Decoded segments, ready to be stored.
pub(super) struct Prepared {
    /// The source that the segments of a recording must have.
    source: Option<SourceId>,
    label: Option<Arc<Label>>,
    /// Whether the store may have some of it.
    repeated: bool,
    now: u64,
    /// A notice for each accepted segment.
    pub(super) notices: Vec<Notice>,
    pub(super) posts: Vec<Post>,
    /// For each post, the index of its segment in `notices`.
    pub(super) owners: Vec<usize>,
    pub(super) refused: Vec<Refusal>,
}

impl Prepared {
    /// For live segments, or those of a recording. `source` is the source that a recording requires,
    /// if the post names it.
    pub(super) fn new(source: Option<SourceId>, label: Option<Label>, now: u64) -> Self {
        Self {
            source: source.filter(|_| label.is_some()),
            label: label.map(Arc::new),
            repeated: false,
            now,
            notices: Vec::new(),
            posts: Vec::new(),
            owners: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Sets whether the store may have some of it, as it was posted before without an answer.
    pub(super) fn repeated(self, repeated: bool) -> Self {
        Self { repeated, ..self }
    }

    /// Whether it belongs to a recording.
    pub(super) fn is_recorded(&self) -> bool {
        self.label.is_some()
    }

    /// Accepts a segment with its bytes, or refuses it.
    pub(super) fn add(&mut self, segment: &Segment, bytes: Vec<u8>) {
        if let Some(reason) = self.refusal(segment) {
            self.refuse(&segment.key, &reason);
            return;
        }
        let owner = self.notices.len();
        let posts = match without_leading_gap(segment) {
            Some(rest) => posts(&rest, rest.encode(Effort::Raw)),
            None => posts(segment, bytes),
        };
        for post in posts {
            let recording = self.label.clone();
            self.posts.push(Post {
                recording,
                repeated: self.repeated,
                ..post
            });
            self.owners.push(owner);
        }
        self.notices.push(Notice {
            span: segment.key.start..segment.end(),
            container: segment.key.container.clone(),
        });
    }

    /// Memory that is held until the posts are stored: each, and its sealed copy.
    pub(super) fn size(&self) -> usize {
        let bytes = self
            .posts
            .iter()
            .map(|post| post.bytes.len())
            .sum::<usize>();
        2 * bytes + self.posts.len() * (2 * size_of::<Post>() + size_of::<Notice>())
    }

    /// Stores each accepted segment under the id that `judge` returns, or refuses it.
    pub(super) fn judge(&mut self, judge: impl Fn(&Key) -> Result<ContainerId, Reason>) {
        let posts = std::mem::take(&mut self.posts);
        let owners = std::mem::take(&mut self.owners);
        let notices = std::mem::take(&mut self.notices);
        // The owner before, the id of its container, and its new index.
        let mut current: Option<(usize, Option<(ContainerId, usize)>)> = None;
        for (mut post, owner) in posts.into_iter().zip(owners) {
            // The posts of a segment follow each other.
            if current.as_ref().is_none_or(|(known, _)| *known != owner) {
                let accepted = match judge(&post.key) {
                    Ok(id) => {
                        let index = self.notices.len();
                        let span = notices.get(owner).map(|notice| notice.span.clone());
                        self.notices.push(Notice {
                            container: id.clone(),
                            span: span.unwrap_or_default(),
                        });
                        Some((id, index))
                    }
                    Err(reason) => {
                        // As it was posted: a gap before its first slot was cut.
                        let span = notices.get(owner).map(|notice| notice.span.start);
                        let start = span.unwrap_or(post.key.start);
                        self.refuse(
                            &Key {
                                start,
                                ..post.key.clone()
                            },
                            &reason,
                        );
                        None
                    }
                };
                current = Some((owner, accepted));
            }
            if let Some((_, Some((id, index)))) = &current {
                if post.key.container != *id
                    && let Ok(bytes) = Segment::with_container(&post.bytes, id)
                {
                    post.bytes = bytes;
                    post.key.container = id.clone();
                }
                self.posts.push(post);
                self.owners.push(*index);
            }
        }
    }

    fn refuse(&mut self, key: &Key, reason: &Reason) {
        self.refused.push(Refusal {
            container: key.container.as_str().to_owned(),
            start: key.start,
            resolution: key.resolution.name(),
            code: reason.code(),
            reason: reason.text(),
            later: reason.is_temporary(),
        });
    }

    /// The reason to refuse a segment, if there is one.
    fn refusal(&self, segment: &Segment) -> Option<Reason> {
        if segment.key.source == SourceId::SUM {
            return Some(Reason::SourceOfSums);
        }
        if self
            .source
            .is_some_and(|source| source != segment.key.source)
        {
            return Some(Reason::SourceOfBatch);
        }
        let ahead = segment.end().saturating_sub(self.now);
        // A coarse slot may still be open, so it may end in the future.
        if ahead > MAX_AHEAD.as_secs() + segment.key.resolution.seconds() {
            return Some(Reason::Future(ahead));
        }
        let age = self.now.saturating_sub(segment.end());
        let is_live = self.label.is_none();
        (is_live && age > MAX_AGE.as_secs()).then_some(Reason::Past(age))
    }
}

/// Splits a segment into posts, one for each packed span.
fn posts(segment: &Segment, bytes: Vec<u8>) -> Vec<Post> {
    let resolution = segment.key.resolution;
    let first = resolution.packed_start(segment.key.start);
    let length = resolution.packed_seconds();
    if segment.end() <= first + length {
        return vec![post(segment, bytes)];
    }
    let mut posts = Vec::new();
    let mut start = segment.key.start;
    while start < segment.end() {
        let end = (resolution.packed_start(start) + length).min(segment.end());
        // Cannot fail: the part lies within the segment.
        if let Ok(part) = segment.slice(start..end) {
            posts.push(post(&part, part.encode(Effort::Raw)));
        }
        start = end;
    }
    posts
}

/// The segment from its first covered slot on, if it begins with a gap. So a piece has the slot that
/// its key names, and no two pieces with different slots have one key. Packing drops gaps as well.
fn without_leading_gap(segment: &Segment) -> Option<Segment> {
    let first = segment.coverage.iter().position(|slot| !slot.is_gap());
    let first = first.filter(|first| *first > 0)?;
    let start = segment.key.start + first as u64 * segment.key.resolution.seconds();
    segment.slice(start..segment.end()).ok()
}

/// The part of a post outside of the slots `stored` of its packed span. `None` if nothing is left.
pub(super) fn remainder(of: &Post, stored: u64) -> Option<Post> {
    let segment = Segment::decode(&of.bytes).ok()?;
    let resolution = segment.key.resolution;
    let rest = keep_slots(&segment, |at, _| slot_bit(resolution, at) & stored == 0);
    repost(of, rest)
}

/// A post of a part of another one. `None` if it has no slots.
pub(super) fn repost(of: &Post, rest: Segment) -> Option<Post> {
    let first = rest.coverage.iter().position(|slot| !slot.is_gap())?;
    let rest = match first {
        0 => rest,
        _ => without_leading_gap(&rest)?,
    };
    Some(Post {
        recording: of.recording.clone(),
        repeated: true,
        ..post(&rest, rest.encode(Effort::Raw))
    })
}

fn post(segment: &Segment, bytes: Vec<u8>) -> Post {
    Post {
        key: segment.key.clone(),
        slots: slot_bits(segment),
        activity: activity(segment),
        bytes,
        recording: None,
        repeated: false,
        replaces: None,
        withdrawn: Sums::default(),
    }
}

/// Gives the segments of a legacy post their sources, and prepares them.
pub(super) fn prepare_event(
    event: Event,
    sender: &Sender,
    recording: Option<String>,
    lanes: &Mutex<Lanes>,
    now: u64,
) -> Prepared {
    let old = event.start + MAX_LIVE_AGE.as_secs() < now;
    let recording = recording.or_else(|| old.then(|| format!("sysdig ({})", sender.key.owner)));
    let source = sender.source(event.kind, recording.as_deref());
    let label = recording.map(|name| Label {
        id: sender.recording(&name),
        name,
    });
    let (mut placed, mut surplus) = (Vec::new(), Vec::new());
    {
        let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        for mut segment in event.segments {
            match lanes.place(source, &mut segment) {
                true => placed.push((segment.encode(Effort::Raw), segment)),
                false => surplus.push(segment),
            }
        }
    }
    let mut prepared = Prepared::new(None, label, now);
    for (bytes, segment) in placed {
        prepared.add(&segment, bytes);
    }
    for segment in surplus {
        prepared.refuse(&segment.key, &Reason::TooMany);
    }
    prepared
}
