//! Imports go one way: no files of a crate import each other in a circle.
//!
//! Every path that begins with `crate`, `self`, `super` or the name of a child is an import, in a `use`
//! as well as in an expression. `mod` declarations are none, and tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The roots of the crates, with the name of the file that declares the modules.
const CRATES: &[&str] = &[
    "agent-ebpf/src/main.rs",
    "agent/src/lib.rs",
    "common/capture/src/lib.rs",
    "common/src/lib.rs",
    "common/testing/src/lib.rs",
    "server/src/lib.rs",
    "xtask/src/main.rs",
    "xtask/suite/src/lib.rs",
    "xtask/workload/src/main.rs",
];

/// A path of modules from the root of the crate.
type Module = Vec<String>;

/// The files of a crate by the modules that they hold.
#[derive(Default)]
struct Files {
    /// Path of the module → its file.
    modules: BTreeMap<Module, PathBuf>,
    /// What each module names: the module that it stands in, and the segments of the path.
    paths: Vec<(Module, Vec<String>)>,
}

impl Files {
    fn read(root: &Path) -> Self {
        let mut files = Self::default();
        files.add(Vec::new(), root);
        files
    }

    fn add(&mut self, module: Module, path: &Path) {
        let text = fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        let parsed = syn::parse_file(&text)
            .unwrap_or_else(|error| panic!("cannot parse {}: {error}", path.display()));
        self.modules.insert(module.clone(), path.to_path_buf());
        let mut reader = Reader {
            module: module.clone(),
            children: Vec::new(),
            paths: Vec::new(),
        };
        reader.visit_file(&parsed);
        self.paths.extend(reader.paths);
        for child in reader.children {
            let file = child_file(path, &module, &child);
            self.add(child, &file);
        }
    }

    /// The file that a path leads to, seen from a module; the longest part of it that is a module.
    fn target(&self, from: &Module, path: &[String]) -> Option<&Path> {
        let mut module = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => from.clone(),
            child => {
                let path = [from.as_slice(), &[child.to_owned()]].concat();
                self.modules.get(&path)?;
                from.clone()
            }
        };
        for (index, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "crate" | "self" if index == 0 => {}
                "super" => {
                    module.pop()?;
                }
                name => {
                    module.push(name.to_owned());
                    if !self.modules.contains_key(&module) {
                        module.pop();
                        break;
                    }
                }
            }
        }
        self.modules.get(&module).map(PathBuf::as_path)
    }

    /// The file that a module stands in, which is its parent's if it is written there.
    fn file(&self, module: &Module) -> Option<&Path> {
        (0..=module.len())
            .rev()
            .find_map(|length| self.modules.get(&module[..length]))
            .map(PathBuf::as_path)
    }

    /// File → the files that it imports.
    fn imports(&self) -> BTreeMap<&Path, BTreeSet<&Path>> {
        let mut imports: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
        for (module, path) in &self.paths {
            let Some(from) = self.file(module) else {
                continue;
            };
            if let Some(to) = self.target(module, path).filter(|to| *to != from) {
                imports.entry(from).or_default().insert(to);
            }
        }
        imports
    }
}

/// Where the module that is declared in a file is: `foo.rs`, or `foo/mod.rs`.
fn child_file(parent: &Path, module: &Module, child: &Module) -> PathBuf {
    let stem = parent.file_stem().unwrap_or_default();
    let folder = parent.parent().unwrap_or(Path::new("."));
    let folder = if module.is_empty() || stem == "mod" {
        folder.to_path_buf()
    } else {
        folder.join(stem)
    };
    let name = child.last().expect("a child has a name");
    let file = folder.join(name).with_extension("rs");
    if file.exists() {
        file
    } else {
        folder.join(name).join("mod.rs")
    }
}

/// Collects the modules and the paths of one file.
struct Reader {
    module: Module,
    children: Vec<Module>,
    paths: Vec<(Module, Vec<String>)>,
}

impl Reader {
    fn add_use(&mut self, prefix: &mut Vec<String>, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_use(prefix, &path.tree);
                prefix.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(prefix, tree);
                }
            }
            syn::UseTree::Name(name) => self.add_name(prefix, &name.ident.to_string()),
            syn::UseTree::Rename(rename) => self.add_name(prefix, &rename.ident.to_string()),
            syn::UseTree::Glob(_) => self.paths.push((self.module.clone(), prefix.clone())),
        }
    }

    fn add_name(&mut self, prefix: &[String], name: &str) {
        let mut path = prefix.to_vec();
        if name != "self" || path.is_empty() {
            path.push(name.to_owned());
        }
        self.paths.push((self.module.clone(), path));
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.attrs.iter().any(is_test) {
            return;
        }
        self.module.push(item.ident.to_string());
        match &item.content {
            Some(_) => visit::visit_item_mod(self, item),
            None => self.children.push(self.module.clone()),
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !item.attrs.iter().any(is_test) {
            self.add_use(&mut Vec::new(), &item.tree);
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(in super)` imports nothing.
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.paths.push((self.module.clone(), segments.collect()));
        visit::visit_path(self, path);
    }
}

/// Whether it is `#[cfg(test)]` or the like.
fn is_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<syn::Ident>()
            .is_ok_and(|word| word == "test")
}

/// The files that lead back to themselves, in groups.
fn circles<'a>(imports: &BTreeMap<&'a Path, BTreeSet<&'a Path>>) -> BTreeSet<BTreeSet<&'a Path>> {
    let reachable = |start: &'a Path| {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![start];
        while let Some(file) = waiting.pop() {
            for next in imports.get(file).into_iter().flatten() {
                if seen.insert(*next) {
                    waiting.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = imports
        .keys()
        .map(|file| (*file, reachable(file)))
        .collect();
    let both_ways = |one: &'a Path| -> BTreeSet<&'a Path> {
        reached[one]
            .iter()
            .copied()
            .filter(|other| reached.get(other).is_some_and(|back| back.contains(one)))
            .collect()
    };
    imports
        .keys()
        .map(|file| both_ways(file))
        .filter(|circle| !circle.is_empty())
        .collect()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let project = project();
    let mut found = String::new();
    for root in CRATES {
        let files = Files::read(&project.join(root));
        let imports = files.imports();
        assert!(files.modules.len() > 1, "{root} declares no modules");
        for circle in circles(&imports) {
            found += &format!("a circle of {} files:\n", circle.len());
            for file in &circle {
                let name = |path: &Path| {
                    path.strip_prefix(&project)
                        .unwrap_or(path)
                        .display()
                        .to_string()
                };
                let others = imports[file].iter().filter(|other| circle.contains(*other));
                let others: Vec<String> = others.map(|other| name(other)).collect();
                found += &format!("  {} imports {}\n", name(file), others.join(", "));
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

/// A folder is a stage that data flows through, and data flows one way.
#[test]
fn no_folders_of_a_crate_import_each_other_in_a_circle() {
    let mut found = String::new();
    for root in CRATES {
        let root = project().join(root);
        let source = root.parent().expect("a file is in a folder");
        let files = Files::read(&root);
        let mut folders: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
        for (from, targets) in files.imports() {
            for to in targets {
                let (from, to) = (stage(source, from), stage(source, to));
                if from != to {
                    folders.entry(from).or_default().insert(to);
                }
            }
        }
        for circle in circles(&folders) {
            let names: Vec<String> = circle.iter().map(|one| one.display().to_string()).collect();
            found += &format!("{}: {}\n", source.display(), names.join(", "));
        }
    }
    assert!(found.is_empty(), "folders in a circle:\n{found}");
}

/// The folder right below the root of a crate, or the file there.
fn stage<'a>(source: &Path, file: &'a Path) -> &'a Path {
    let below = file.strip_prefix(source).unwrap_or(file);
    below.iter().next().map_or(below, Path::new)
}

fn project() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask
        .parent()
        .expect("xtask is in the project")
        .to_path_buf()
}

#[test]
fn a_circle_is_found() {
    let [a, b, c] = ["a", "b", "c"].map(Path::new);
    let arrows = |pairs: &[(&'static Path, &'static Path)]| {
        let mut imports: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
        for (from, to) in pairs {
            imports.entry(from).or_default().insert(to);
        }
        imports
    };
    assert!(circles(&arrows(&[(a, b), (b, c), (a, c)])).is_empty());
    let found = circles(&arrows(&[(a, b), (b, c), (c, b)]));
    assert_eq!(found, BTreeSet::from([BTreeSet::from([b, c])]));
}
