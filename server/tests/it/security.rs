//! docs/security.md names a test for each of its rules, and the tests exist.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The sources of our crates.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && name != "node_modules" {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Names of all functions that are tests.
fn tests(root: &Path) -> HashSet<String> {
    let mut files = Vec::new();
    for folder in ["agent", "common", "server", "xtask"] {
        sources(&root.join(folder), &mut files);
    }
    let mut names = HashSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            let line = line.trim_start_matches("pub ").trim_start_matches("async ");
            match line.strip_prefix("fn ") {
                Some(rest) if is_test => {
                    names.extend(rest.split('(').next().map(str::to_owned));
                    is_test = false;
                }
                Some(_) => is_test = false,
                None => is_test |= line.starts_with("#[") && line.contains("test"),
            }
        }
    }
    names
}

#[test]
fn each_rule_of_security_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("docs/security.md")).expect("the page");
    let tests = tests(&root);
    let (mut rules, mut without) = (0, Vec::new());
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (first, last) = (cells[0], cells[cells.len() - 1]);
        if last == "test" || last.starts_with("---") {
            continue;
        }
        rules += 1;
        let named: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        for name in &named {
            assert!(tests.contains(*name), "{first}: there is no test {name}");
        }
        if named.is_empty() && last != "the same" {
            without.push(first);
        }
    }
    assert!(rules > 20, "{rules} rules");
    // The server cannot tell what root of a host forges.
    assert_eq!(without, ["root of a host"]);
}
