//! A column of texts. The prefix that a text shares with the previous one is not repeated.

use super::budget::Budget;
use super::error::DecodeError;
use super::numbers::{put_numbers, read_numbers};
use super::primitive::Reader;

/// Appends `texts`: lengths of the shared prefixes, lengths of the rests, then all rests.
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
pub(crate) fn read_texts(
    reader: &mut Reader<'_>,
    count: usize,
    budget: &mut Budget,
) -> Result<Vec<String>, DecodeError> {
    let shared = read_numbers(reader, count, budget)?;
    let lengths = read_numbers(reader, count, budget)?;
    let mut texts = budget.vec::<String>(count)?;
    for (shared, length) in shared.iter().zip(lengths.iter()) {
        let previous = texts.last().map_or("", String::as_str).as_bytes();
        let prefix = usize::try_from(shared)
            .ok()
            .and_then(|shared| previous.get(..shared))
            .ok_or(DecodeError::Corrupt(
                "a text shares more than the previous one has",
            ))?;
        let length = usize::try_from(length).map_err(|_| DecodeError::Truncated("a text"))?;
        let rest = reader.take(length)?;
        budget.charge::<u8>(prefix.len() + rest.len())?;
        let mut text = Vec::with_capacity(prefix.len() + rest.len());
        text.extend_from_slice(prefix);
        text.extend_from_slice(rest);
        let text =
            String::from_utf8(text).map_err(|_| DecodeError::Corrupt("a text is not UTF-8"))?;
        texts.push(text);
    }
    Ok(texts)
}
