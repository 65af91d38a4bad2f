//! A set of seconds.

use std::collections::BTreeMap;

/// Seconds, as ranges that do not touch: the end by the beginning.
#[derive(Debug, Default)]
pub struct Seconds(BTreeMap<u64, u64>);

impl Seconds {
    /// Adds a second.
    pub fn insert(&mut self, second: u64) {
        let before = self.0.range(..=second).next_back();
        let (begin, end) = before.map_or((second, second), |(begin, end)| (*begin, *end));
        if end > second {
            return;
        }
        let begin = if end == second { begin } else { second };
        let end = self.0.remove(&(second + 1)).unwrap_or(second + 1);
        self.0.insert(begin, end);
    }

    /// The first one, and the end of the last one (exclusive).
    pub fn span(&self) -> Option<(u64, u64)> {
        let (first, _) = self.0.first_key_value()?;
        let (_, last) = self.0.last_key_value()?;
        Some((*first, *last))
    }

    /// How many they are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(begin, end)| end - begin).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Seconds;

    #[test]
    fn seconds_count_once_in_any_order() {
        let mut seconds = Seconds::default();
        assert_eq!((seconds.span(), seconds.count()), (None, 0));
        for second in [7, 9, 8, 3, 7, 9, 4, 20] {
            seconds.insert(second);
        }
        assert_eq!((seconds.span(), seconds.count()), (Some((3, 21)), 6));
        assert_eq!(seconds.0.len(), 3);
    }
}
