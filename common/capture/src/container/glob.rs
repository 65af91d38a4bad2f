//! Patterns of cgroup paths, as users write them: `/batch/*`, `/jobs/**/run?`.
//!
//! `*` and `?` stay within a part of the path, `**` is any number of parts, and a
//! pattern is matched against the whole path.

/// A pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<String>,
}

impl Glob {
    /// Parses a pattern. A slash at its beginning may be missing.
    pub fn new(text: &str) -> Self {
        Self {
            parts: text
                .split('/')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Whether a path matches, given its parts.
    pub fn matches(&self, parts: &[&str]) -> bool {
        wildcard(
            &self.parts,
            parts,
            |pattern| pattern == "**",
            |pattern, part| {
                let pattern: Vec<char> = pattern.chars().collect();
                let part: Vec<char> = part.chars().collect();
                wildcard(&pattern, &part, |c| *c == '*', |p, c| *p == '?' || p == c)
            },
        )
    }
}

/// Matches a list of items against a list of patterns; `any` says which patterns match any
/// number of items. Backtracks to the last such pattern only, so a hostile pattern costs at
/// most the product of both lengths.
fn wildcard<P, T>(
    patterns: &[P],
    items: &[T],
    any: impl Fn(&P) -> bool,
    one: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut backtrack: Option<(usize, usize)> = None;
    while t < items.len() {
        if p < patterns.len() && any(&patterns[p]) {
            backtrack = Some((p, t));
            p += 1;
        } else if p < patterns.len() && one(&patterns[p], &items[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = backtrack {
            backtrack = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    patterns[p..].iter().all(any)
}

#[cfg(test)]
mod tests {
    use super::Glob;

    fn matches(pattern: &str, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        Glob::new(pattern).matches(&parts)
    }

    #[test]
    fn within_a_part() {
        assert!(matches("/batch/*", "/batch/one"));
        assert!(matches("batch/o?e", "/batch/one"));
        assert!(matches("/*-job-*", "/my-job-7"));
        assert!(!matches("/batch/*", "/batch"));
        assert!(!matches("/batch/*", "/batch/one/two"));
        assert!(!matches("/batch", "/batch2"));
        assert!(matches("/é?", "/éß"));
    }

    #[test]
    fn over_parts() {
        assert!(matches("/jobs/**/run?", "/jobs/run1"));
        assert!(matches("/jobs/**/run?", "/jobs/a/b/run1"));
        assert!(matches("/**", "/a/b"));
        assert!(!matches("/jobs/**/run?", "/jobs/a/b"));
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = format!("/{}b", "*a".repeat(200));
        assert!(!matches(&pattern, &format!("/{}", "a".repeat(2000))));
        assert!(!matches(&"/**/a".repeat(200), &"/a".repeat(199)));
    }
}
