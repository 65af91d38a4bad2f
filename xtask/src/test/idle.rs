//! How much of the processors' time nothing uses: what could be computed beside a group that waits.

use std::fs;

/// The sums of all processors at a moment, in clock ticks (proc_stat(5)).
pub(super) struct Idle(Option<[u64; 2]>);

impl Idle {
    pub(super) fn now() -> Self {
        Self(
            fs::read_to_string("/proc/stat")
                .ok()
                .as_deref()
                .and_then(parse),
        )
    }

    /// Percentage of the time since then that was idle.
    pub(super) fn percent(&self) -> Option<u64> {
        let ([all, idle], [all_now, idle_now]) = (self.0?, Self::now().0?);
        let passed = all_now.checked_sub(all).filter(|ticks| *ticks > 0)?;
        Some(100 * idle_now.saturating_sub(idle) / passed)
    }
}

/// All ticks, and those without work.
fn parse(stat: &str) -> Option<[u64; 2]> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields = line.split_whitespace().map(str::parse::<u64>);
    // After the eighth, the time of guests, which the others contain.
    let fields: Vec<u64> = fields.take(8).collect::<Result<_, _>>().ok()?;
    Some([fields.iter().sum(), fields.get(3)? + fields.get(4)?])
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn idle_is_also_what_waits_for_a_disk() {
        let stat = "cpu  1 2 3 40 5 6 7 8 100 200\ncpu0 1 2 3 40 5 6 7 8 100 200\n";
        assert_eq!(parse(stat), Some([72, 45]));
        assert_eq!(parse("intr 1"), None);
    }
}
