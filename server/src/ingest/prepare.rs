//! Decoded segments become posts: checked, cut at the edges of packed spans, and summed up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bubble_common::segment::codec::Effort;
use bubble_common::segment::{Segment, SourceId};

use super::legacy::Event;
use super::legacy::lanes::{Lanes, Sender};
use super::live::Notice;
use super::receipt::Refusal;
use crate::span::activity::activity;
use crate::span::unite::slot_bits;
use crate::store::recording::Label;
use crate::store::segments::Post;

/// How far a segment may end in the future. Beyond that its host's clock is wrong.
const MAX_AHEAD: Duration = Duration::from_secs(3_600);

/// Age beyond which a legacy post must come from a capture that is played back.
const MAX_LIVE_AGE: Duration = Duration::from_secs(86_400);

/// Decoded segments, ready to be stored.
pub(super) struct Prepared {
    /// The source that the segments of a recording must have.
    source: Option<SourceId>,
    label: Option<Arc<Label>>,
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
            now,
            notices: Vec::new(),
            posts: Vec::new(),
            owners: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Accepts a segment with its bytes, or refuses it.
    pub(super) fn add(&mut self, segment: &Segment, bytes: Vec<u8>) {
        if let Some((reason, later)) = refusal(segment, self.source, self.now) {
            self.refuse(segment, reason, later);
            return;
        }
        let owner = self.notices.len();
        for post in posts(segment, bytes) {
            let recording = self.label.clone();
            self.posts.push(Post { recording, ..post });
            self.owners.push(owner);
        }
        self.notices.push(Notice {
            span: segment.key.start..segment.end(),
            container: segment.key.container.clone(),
        });
    }

    /// Memory that is held until the posts are stored.
    pub(super) fn size(&self) -> usize {
        let bytes = self
            .posts
            .iter()
            .map(|post| post.bytes.len())
            .sum::<usize>();
        bytes + self.posts.len() * (size_of::<Post>() + size_of::<Notice>())
    }

    fn refuse(&mut self, segment: &Segment, reason: impl Into<String>, later: bool) {
        self.refused.push(Refusal {
            container: segment.key.container.as_str().to_owned(),
            start: segment.key.start,
            resolution: segment.key.resolution.name(),
            reason: reason.into(),
            later,
        });
    }
}

/// The reason to refuse a segment, if there is one, and whether it may be taken later.
fn refusal(segment: &Segment, source: Option<SourceId>, now: u64) -> Option<(String, bool)> {
    if segment.key.source == SourceId::SUM {
        let reason = "a source of zeros stands for sums and is never stored";
        return Some((reason.to_owned(), false));
    }
    if source.is_some_and(|source| source != segment.key.source) {
        let reason = "a recording's segments have the source of its batches";
        return Some((reason.to_owned(), false));
    }
    let ahead = segment.end().saturating_sub(now);
    // A coarse slot may still be open, so it may end in the future.
    let allowed = MAX_AHEAD.as_secs() + segment.key.resolution.seconds();
    (ahead > allowed).then(|| {
        // Agents of version 0.1 find "in the future" in the text, as they lack the field `later`.
        let reason = format!(
            "it ends {ahead} s in the future: set the clock of its host, or of this server"
        );
        (reason, true)
    })
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

fn post(segment: &Segment, bytes: Vec<u8>) -> Post {
    Post {
        key: segment.key.clone(),
        slots: slot_bits(segment),
        activity: activity(segment),
        bytes,
        recording: None,
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
        prepared.refuse(&segment, "too many different bodies for this second", false);
    }
    prepared
}
