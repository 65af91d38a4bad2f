//! A small BTF made here, the BTF of the running kernel, and damaged bytes.

use proptest::prelude::{any, proptest};

use super::{Argument, Btf, BtfError};

/// Builds BTF, type by type.
#[derive(Default)]
struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Builder {
    fn new() -> Self {
        Self {
            strings: vec![0],
            ..Self::default()
        }
    }

    fn text(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    fn add(
        &mut self,
        name: &str,
        kind: u32,
        length: usize,
        size_or_type: u32,
        more: &[u32],
    ) -> u32 {
        let name = self.text(name);
        for word in [name, kind << 24 | length as u32, size_or_type]
            .iter()
            .chain(more)
        {
            self.types.extend(word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    /// A struct (kind 4) or union (5): members are name, type, offset in bits.
    fn record(&mut self, name: &str, kind: u32, members: &[(&str, u32, u32)]) -> u32 {
        let more: Vec<u32> = members
            .iter()
            .flat_map(|(name, id, bits)| [self.text(name), *id, *bits])
            .collect();
        self.add(name, kind, members.len(), 64, &more)
    }

    fn bytes(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types, types, strings] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }
}

/// `struct task` with an anonymous union in an anonymous struct, a struct in an array behind
/// qualifiers, a bit field, a tracepoint and an enumeration.
fn sample() -> Vec<u8> {
    let mut builder = Builder::new();
    let int = builder.add("int", 1, 0, 4, &[32]);
    let element = builder.record("element", 4, &[("first", int, 0), ("second", int, 32)]);
    let constant = builder.add("", 10, 0, element, &[]);
    let named = builder.add("element_t", 8, 0, constant, &[]);
    let array = builder.add("", 3, 0, 0, &[named, int, 3]);
    let union = builder.record("", 5, &[("a", int, 0), ("b", int, 0)]);
    let inner = builder.record("", 4, &[("skipped", int, 0), ("", union, 32)]);
    let task = builder.record(
        "task",
        4,
        &[("pid", int, 0), ("", inner, 64), ("all", array, 128)],
    );
    let more: Vec<u32> = [builder.text("flag"), int, 3 << 24 | 5].to_vec();
    builder.add("bits", 4 | 0x80, 1, 4, &more);
    let pointer = builder.add("", 2, 0, task, &[]);
    let prototype = builder.add("", 13, 3, 0, &[0, 0, 0, pointer, 0, int]);
    let function = builder.add("", 2, 0, prototype, &[]);
    builder.add("btf_trace_thing", 8, 0, function, &[]);
    builder.add("vfs_thing", 12, 0, prototype, &[]);
    let more = [builder.text("one_id"), 4, builder.text("two_id"), 9];
    builder.add("ids", 6, 2, 4, &more);
    builder.bytes()
}

#[test]
fn members_are_found_through_anonymous_ones_arrays_and_names() {
    let btf = Btf::parse(sample()).expect("it is well-formed");
    let offset = |path| btf.offset("task", path).expect("there is one");
    assert_eq!(offset("pid"), 0);
    assert_eq!(offset("skipped"), 8);
    assert_eq!(offset("b"), 12);
    assert_eq!(offset("all"), 16);
    assert_eq!(offset("all.second"), 20);
}

#[test]
fn a_missing_type_or_member_is_named() {
    let btf = Btf::parse(sample()).expect("it is well-formed");
    assert!(matches!(btf.offset("taks", "pid"), Err(BtfError::NoType(of)) if of == "taks"));
    assert!(
        matches!(btf.offset("task", "pid.x"), Err(BtfError::NoMember { path, .. }) if path == "pid.x")
    );
    assert!(matches!(
        btf.offset("bits", "flag"),
        Err(BtfError::BitField { .. })
    ));
}

#[test]
fn tracepoints_functions_and_constants_are_known() {
    let btf = Btf::parse(sample()).expect("it is well-formed");
    assert!(btf.has_tracepoint("thing") && !btf.has_tracepoint("other"));
    assert!(btf.has_function("vfs_thing") && !btf.has_function("thing"));
    let argument = |n| btf.tracepoint_argument("thing", n);
    assert_eq!(argument(0), Some(Argument::Struct("task".into())));
    assert_eq!(argument(1), Some(Argument::Value));
    assert_eq!(argument(2), None);
    assert_eq!(argument(usize::MAX), None);
    assert_eq!(btf.enumerator("ids", "two_id"), Some(9));
    assert_eq!(btf.enumerator("ids", "no_id"), None);
}

#[test]
fn a_truncated_btf_is_an_error() {
    let bytes = sample();
    for length in 0..bytes.len() {
        assert!(
            Btf::parse(bytes[..length].to_vec()).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn circular_references_end() {
    let mut builder = Builder::new();
    builder.add("loop", 8, 0, 2, &[]);
    builder.add("loop", 10, 0, 1, &[]);
    builder.record("own", 4, &[("", 3, 0), ("", 3, 8), ("next", 1, 16)]);
    let btf = Btf::parse(builder.bytes()).expect("it is well-formed");
    assert!(btf.offset("own", "next.more").is_err());
    assert!(btf.offset("own", "absent").is_err());
}

#[test]
fn the_running_kernel_has_what_the_programs_read() {
    // Where the kernel has no BTF there is nothing to read; every kernel that the programs run on
    // has it, and the vm tests run this source there.
    if let Ok(btf) = Btf::of_kernel() {
        for (_, fields) in bubble_common::kernel::fields::TABLES {
            for field in fields.iter().filter(|field| !field.optional) {
                let found = btf.offset(field.of, field.path);
                assert!(found.is_ok(), "{}.{}: {found:?}", field.of, field.path);
            }
        }
    } else {
        eprintln!("this kernel has no BTF: only the error was tested");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), from in 0usize..600) {
        // A good beginning, so that it is not refused at once.
        let good = sample();
        let from = from.min(good.len());
        bytes.splice(..0, good[..from].iter().copied());
        if let Ok(btf) = Btf::parse(bytes) {
            let _ = btf.offset("task", "all.second");
            btf.tracepoint_argument("thing", 0);
            btf.enumerator("ids", "two_id");
        }
    }

    #[test]
    fn no_changed_byte_panics(at in 0usize..600, value in any::<u8>()) {
        let mut bytes = sample();
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(btf) = Btf::parse(bytes) {
            let _ = btf.offset("task", "all.second");
            let _ = btf.offset("task", "b");
            btf.tracepoint_argument("thing", 1);
        }
    }
}
