//! Paths, joined from a directory and the argument of a call.

use super::bytes::{MAX_PATH, until_nul};

/// Placeholder for a directory that is not known.
const UNKNOWN: &str = "<UNKNOWN>";
/// Placeholder for a path that is too long.
const TOO_LONG: &str = "/DIR_TOO_LONG/FILENAME_TOO_LONG";

/// The path `given` to a call, relative to `directory` (`None`: not known). Resolves `.`, `..`
/// and `//` by their text, as a capture has no file system.
pub(super) fn join(directory: Option<&str>, given: &[u8]) -> String {
    let given = String::from_utf8_lossy(until_nul(given));
    let mut path = String::with_capacity(directory.map_or(0, str::len) + given.len() + 2);
    if given.starts_with('/') {
        append(&mut path, &given);
    } else {
        match directory {
            Some(directory) => {
                append(&mut path, directory);
                append(&mut path, &given);
            }
            None => {
                path.push_str(UNKNOWN);
                path.push_str(&given);
            }
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    if path.len() > MAX_PATH {
        TOO_LONG.clone_into(&mut path);
    }
    path
}

fn append(path: &mut String, more: &str) {
    for part in more.split('/') {
        match part {
            "" | "." => {}
            ".." => path.truncate(path.rfind('/').unwrap_or(0)),
            _ => {
                path.push('/');
                path.push_str(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn paths_are_put_together() {
        let cases = [
            (Some("/home/me/"), "file", "/home/me/file"),
            (Some("/home/me"), "../you/./file", "/home/you/file"),
            (Some("/"), "..", "/"),
            (Some("/a"), "/etc//passwd", "/etc/passwd"),
            (None, "file", "<UNKNOWN>file"),
            (None, "/file", "/file"),
        ];
        for (directory, given, path) in cases {
            assert_eq!(join(directory, given.as_bytes()), path);
        }
        assert_eq!(join(None, b"/cut\0short"), "/cut");
        assert_eq!(
            join(Some("/"), "x".repeat(2_000).as_bytes()),
            "/DIR_TOO_LONG/FILENAME_TOO_LONG"
        );
    }
}
