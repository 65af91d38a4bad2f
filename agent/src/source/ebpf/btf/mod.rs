//! A reader of BTF, the description of the running kernel's types. It finds the offset of a
//! field, whether a function or tracepoint exists, and the arguments of a tracepoint.
//!
//! It keeps the bytes and few numbers a type, as the kernel has far more types than are asked
//! for. Crates that decode all types take more: `btfparse` 1.3.9 adds 55 MB on Linux 6.18.
//! The bytes are not trusted: references are checked, and chains of them have a maximum length.
//! Format: Linux `Documentation/bpf/btf.rst`.

mod format;

use std::path::{Path, PathBuf};

use self::format::{Kind, MAGIC, Type, head_of, word};

/// File with the running kernel's BTF.
pub const KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// Maximum length of a chain of typedefs and qualifiers, and depth of anonymous members.
const MAX_DEPTH: u32 = 32;
/// Maximum number of structs searched for one member. Without it, anonymous members that contain
/// each other would be searched forever.
const MAX_VISITS: u32 = 4096;

/// Why BTF could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file could not be read.
    #[error("cannot read {path}: {error} (the kernel must be built with CONFIG_DEBUG_INFO_BTF)")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The bytes are not BTF.
    #[error("cannot read BTF: {0}")]
    Malformed(&'static str),
    /// The kernel has no such type.
    #[error("the kernel has no type {0}")]
    NoType(String),
    /// The type has no such member.
    #[error("the kernel's struct {of} has no member {path}")]
    NoMember {
        /// The struct.
        of: String,
        /// The member asked for.
        path: String,
    },
    /// The member does not begin at a whole byte.
    #[error("member {path} of the kernel's struct {of} is a bit field")]
    BitField {
        /// The struct.
        of: String,
        /// The member asked for.
        path: String,
    },
}

/// An argument of a tracepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A pointer to a struct of this name.
    Struct(String),
    /// A pointer to something else.
    Pointer,
    /// A number.
    Value,
}

/// The types of a kernel.
pub struct Btf {
    bytes: Vec<u8>,
    /// Offset of each type in `bytes`, by id - 1.
    types: Vec<u32>,
    strings: std::ops::Range<usize>,
    /// Hash of the name and id of each type that is looked up by name, in this order.
    names: Vec<(u32, u32)>,
}

struct Member {
    name: u32,
    type_id: u32,
    bit_offset: u32,
    bits: u32,
}

impl Btf {
    /// The running kernel's types.
    ///
    /// # Errors
    /// When the kernel has no BTF, or the file cannot be read.
    pub fn of_kernel() -> Result<Self, BtfError> {
        let path = Path::new(KERNEL);
        let bytes = std::fs::read(path).map_err(|error| BtfError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(bytes)
    }

    /// Reads the header and the offset of each type.
    ///
    /// # Errors
    /// When the bytes are not BTF of this machine's byte order.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let word = |at| word(&bytes, at).ok_or(BtfError::Malformed("the header is cut"));
        let first = word(0)?;
        if first as u16 != MAGIC {
            return Err(BtfError::Malformed("it does not begin as BTF does"));
        }
        if first.to_le_bytes()[2] != 1 {
            return Err(BtfError::Malformed("its version is not 1"));
        }
        let head = word(4)? as usize;
        let section = |offset: u32, length: u32| {
            let start = head.checked_add(offset as usize)?;
            let end = start.checked_add(length as usize)?;
            (end <= bytes.len()).then_some(start..end)
        };
        let types_at = section(word(8)?, word(12)?)
            .ok_or(BtfError::Malformed("the types are outside of it"))?;
        let strings = section(word(16)?, word(20)?)
            .ok_or(BtfError::Malformed("the strings are outside of it"))?;
        let mut types = Vec::new();
        let mut at = types_at.start;
        while at < types_at.end {
            types.push(at as u32);
            let (found, more) = head_of(&bytes, at).ok_or(BtfError::Malformed("a type is cut"))?;
            at = found
                .more
                .checked_add(more)
                .filter(|end| *end <= types_at.end)
                .ok_or(BtfError::Malformed("a type is cut"))?;
        }
        types.shrink_to_fit();
        let mut btf = Self {
            bytes,
            types,
            strings,
            names: Vec::new(),
        };
        btf.names = btf.sorted_names();
        Ok(btf)
    }

    /// Makes the index of names: a kernel has a hundred thousand, and dozens are looked up.
    fn sorted_names(&self) -> Vec<(u32, u32)> {
        let mut names: Vec<(u32, u32)> = (1..=self.types.len() as u32)
            .filter_map(|id| {
                let found = self.get(id)?;
                found
                    .kind
                    .is_found_by_name()
                    .then(|| (hash_of(self.string(found.name)), id))
            })
            .collect();
        names.sort_unstable();
        names.shrink_to_fit();
        names
    }

    /// Offset of a member in its struct, in bytes. `path` is names joined by dots. Members of
    /// anonymous members belong to the struct; an array stands for its first element.
    ///
    /// # Errors
    /// When the struct or the member does not exist, or the member is not at a whole byte.
    pub fn offset(&self, of: &str, path: &str) -> Result<u32, BtfError> {
        let mut at = self
            .find(of, |kind| matches!(kind, Kind::Struct | Kind::Union))
            .ok_or_else(|| BtfError::NoType(of.to_owned()))?;
        let mut bits = 0u32;
        for name in path.split('.') {
            let (member, before) = self
                .member(at, name, MAX_DEPTH, &mut { MAX_VISITS })
                .ok_or_else(|| BtfError::NoMember {
                    of: of.to_owned(),
                    path: path.to_owned(),
                })?;
            bits = bits.saturating_add(before);
            if member.bits != 0 || !bits.is_multiple_of(8) {
                return Err(BtfError::BitField {
                    of: of.to_owned(),
                    path: path.to_owned(),
                });
            }
            at = self.element(member.type_id);
        }
        Ok(bits / 8)
    }

    /// The byte of a bit field of one bit in its struct, and the bit in that byte. `None` if there is no
    /// such field.
    pub fn bit(&self, of: &str, name: &str) -> Option<(u32, u32)> {
        let of = self.find(of, |kind| kind == Kind::Struct)?;
        let (member, before) = self.member(of, name, MAX_DEPTH, &mut { MAX_VISITS })?;
        (member.bits == 1).then_some((before / 8, before % 8))
    }

    /// Number of the function of this name.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.find(name, |kind| kind == Kind::Function)
    }

    /// Number of the struct of this name.
    pub fn structure(&self, name: &str) -> Option<u32> {
        self.find(name, |kind| kind == Kind::Struct)
    }

    /// Whether BTF has a function of this name.
    pub fn has_function(&self, name: &str) -> bool {
        self.function(name).is_some()
    }

    /// Whether the kernel has a tracepoint of this name.
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.tracepoint(name).is_some()
    }

    /// Argument `n` of a tracepoint. `None` when it has fewer.
    pub fn tracepoint_argument(&self, name: &str, n: usize) -> Option<Argument> {
        let pointer = self.get(self.resolve(self.tracepoint(name)?))?;
        let prototype = self.get(self.resolve(pointer.size_or_type))?;
        // The first argument is the `void *` of the tracepoint itself.
        let n = n.checked_add(1)?;
        if prototype.kind != Kind::Prototype || n >= usize::from(prototype.length) {
            return None;
        }
        let argument = word(&self.bytes, prototype.more + n * 8 + 4)?;
        let argument = self.get(self.resolve(argument))?;
        Some(if argument.kind != Kind::Pointer {
            Argument::Value
        } else {
            match self.get(self.resolve(argument.size_or_type)) {
                Some(to) if to.kind == Kind::Struct => {
                    Argument::Struct(String::from_utf8_lossy(self.string(to.name)).into_owned())
                }
                _ => Argument::Pointer,
            }
        })
    }

    /// The value of a constant of an enumeration.
    pub fn enumerator(&self, of: &str, name: &str) -> Option<u32> {
        let found = self.get(self.find(of, |kind| kind == Kind::Enum)?)?;
        (0..usize::from(found.length))
            .map(|n| found.more + n * 8)
            .find(|at| {
                word(&self.bytes, *at).is_some_and(|text| self.string(text) == name.as_bytes())
            })
            .and_then(|at| word(&self.bytes, at + 4))
    }

    fn tracepoint(&self, name: &str) -> Option<u32> {
        self.find(&format!("btf_trace_{name}"), |kind| kind == Kind::Typedef)
    }

    /// The first type of this name that suits. `suits` may accept what [`Kind::is_found_by_name`] does.
    fn find(&self, name: &str, suits: impl Fn(Kind) -> bool) -> Option<u32> {
        let hash = hash_of(name.as_bytes());
        let first = self.names.partition_point(|(other, _)| *other < hash);
        let same = self.names[first..].iter();
        same.take_while(|(other, _)| *other == hash)
            .map(|(_, id)| *id)
            .find(|id| {
                self.get(*id)
                    .is_some_and(|t| suits(t.kind) && self.string(t.name) == name.as_bytes())
            })
    }

    fn get(&self, id: u32) -> Option<Type> {
        let at = *self.types.get(id.checked_sub(1)? as usize)?;
        head_of(&self.bytes, at as usize).map(|(found, _)| found)
    }

    fn string(&self, at: u32) -> &[u8] {
        let strings = &self.bytes[self.strings.clone()];
        let text = strings.get(at as usize..).unwrap_or_default();
        let end = memchr::memchr(0, text).unwrap_or(0);
        &text[..end]
    }

    /// The type behind typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> u32 {
        for _ in 0..MAX_DEPTH {
            match self.get(id) {
                Some(t) if t.qualifier || t.kind == Kind::Typedef => id = t.size_or_type,
                _ => break,
            }
        }
        id
    }

    /// The type behind typedefs, qualifiers and arrays.
    fn element(&self, mut id: u32) -> u32 {
        for _ in 0..MAX_DEPTH {
            id = self.resolve(id);
            match self.get(id) {
                Some(t) if t.kind == Kind::Array => match word(&self.bytes, t.more) {
                    Some(element) => id = element,
                    None => break,
                },
                _ => break,
            }
        }
        id
    }

    /// The member `name` of a struct or union, and its offset in bits.
    fn member(&self, id: u32, name: &str, depth: u32, visits: &mut u32) -> Option<(Member, u32)> {
        let depth = depth.checked_sub(1)?;
        *visits = visits.checked_sub(1)?;
        let found = self.get(id)?;
        if !matches!(found.kind, Kind::Struct | Kind::Union) {
            return None;
        }
        (0..usize::from(found.length)).find_map(|n| {
            let member = self.member_at(&found, n)?;
            let text = self.string(member.name);
            if text == name.as_bytes() {
                let before = member.bit_offset;
                Some((member, before))
            } else if text.is_empty() {
                let (inner, before) =
                    self.member(self.resolve(member.type_id), name, depth, visits)?;
                Some((inner, before.saturating_add(member.bit_offset)))
            } else {
                None
            }
        })
    }

    fn member_at(&self, of: &Type, n: usize) -> Option<Member> {
        let at = of.more + n * 12;
        let offset = word(&self.bytes, at + 8)?;
        let (bit_offset, bits) = if of.bit_fields {
            (offset & 0x00ff_ffff, offset >> 24)
        } else {
            (offset, 0)
        };
        Some(Member {
            name: word(&self.bytes, at)?,
            type_id: word(&self.bytes, at + 4)?,
            bit_offset,
            bits,
        })
    }
}

/// Names of one hash cost time alone.
fn hash_of(name: &[u8]) -> u32 {
    crc32fast::hash(name)
}

#[cfg(test)]
mod tests;
