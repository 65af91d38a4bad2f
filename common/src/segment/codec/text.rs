//! A column of texts: what each shares with the one before is not written again.

use super::budget::Budget;
use super::error::DecodeError;
use super::numbers::{numbers, put_numbers};
use super::primitive::Reader;

/// Appends `texts`: shared prefixes, lengths of the rest, then the rests in one piece.
pub(crate) fn put_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a str>) {
    let mut previous = "";
    let (mut shared, mut lengths, mut rests) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        let same = text
            .bytes()
            .zip(previous.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        shared.push(same as u64);
        lengths.push((text.len() - same) as u64);
        rests.extend_from_slice(&text.as_bytes()[same..]);
        previous = text;
    }
    put_numbers(out, &shared);
    put_numbers(out, &lengths);
    out.extend_from_slice(&rests);
}

/// Reads `count` texts.
pub(crate) fn texts(
    reader: &mut Reader<'_>,
    count: usize,
    budget: &mut Budget,
) -> Result<Vec<String>, DecodeError> {
    let shared = numbers(reader, count, budget)?;
    let lengths = numbers(reader, count, budget)?;
    let mut texts = budget.vec::<String>(count)?;
    for (shared, length) in shared.iter().zip(lengths.iter()) {
        let previous = texts.last().map_or("", String::as_str).as_bytes();
        let kept = usize::try_from(shared)
            .ok()
            .and_then(|shared| previous.get(..shared))
            .ok_or(DecodeError::Corrupt(
                "a text shares more than the one before has",
            ))?;
        let length = usize::try_from(length).map_err(|_| DecodeError::Truncated("a text"))?;
        let rest = reader.take(length)?;
        budget.charge::<u8>(kept.len() + rest.len())?;
        let mut text = Vec::with_capacity(kept.len() + rest.len());
        text.extend_from_slice(kept);
        text.extend_from_slice(rest);
        let text =
            String::from_utf8(text).map_err(|_| DecodeError::Corrupt("a text is not UTF-8"))?;
        texts.push(text);
    }
    Ok(texts)
}
