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
    /// The pattern that `text` writes; a missing slash at its beginning is no matter.
    pub fn new(text: &str) -> Self {
        Self {
            parts: text
                .split('/')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Whether the path that consists of `parts` matches.
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

/// Matches a row of things against a row of patterns, some of which are for any
/// number of things. It goes back to the last of those only, so a hostile pattern
/// costs no more than the product of the lengths.
fn wildcard<P, T>(
    patterns: &[P],
    things: &[T],
    any: impl Fn(&P) -> bool,
    one: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    while t < things.len() {
        if p < patterns.len() && any(&patterns[p]) {
            again = Some((p, t));
            p += 1;
        } else if p < patterns.len() && one(&patterns[p], &things[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = again {
            again = Some((star, from + 1));
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
