//! Relocates the object for the running kernel: replaces placeholders in its instructions by
//! offsets of fields and numbers of types (`bubble_common::kernel::offsets`).

use bubble_common::kernel::fields::TABLES;
use bubble_common::kernel::offsets::{
    ABSENT, CAST, CAST_PLACEHOLDER, LOAD_PLACEHOLDER, MAX_FIELDS, TYPE_DENTRY, TYPE_FILE,
    TYPE_NUMBER, VALUE_PLACEHOLDER,
};
use bubble_common::kernel::wait::IN_IOWAIT;
use object::{Object as _, ObjectSection as _, SectionKind};

use super::btf::{Btf, BtfError};

/// Instructions of `linux/bpf.h`: a call, and a 64-bit move of a number.
const CALL: u8 = 0x85;
const MOVE: u8 = 0xb7;
/// Class and mode of a load from memory; the size is in the bits between.
const LOAD: u8 = 0x61;
const LOAD_MASK: u8 = 0xe7;
/// `BPF_PSEUDO_KFUNC_CALL`, where the source register is.
const KERNEL_FUNCTION: u8 = 2 << 4;

/// The values for the placeholders.
pub struct Relocations {
    /// Offsets of fields and numbers of types, by placeholder. `None`: this kernel lacks the field.
    values: Vec<Option<u32>>,
    /// Number of the function [`CAST`].
    cast: Option<u32>,
}

impl Relocations {
    /// Looks all values up.
    ///
    /// # Errors
    /// When the kernel lacks a field that is not optional.
    pub fn resolve(btf: &Btf) -> Result<Self, BtfError> {
        let mut values = vec![None; MAX_FIELDS as usize];
        for (first, fields) in TABLES {
            for (field, value) in fields.iter().zip(&mut values[first as usize..]) {
                *value = match btf.offset(field.of, field.path) {
                    Ok(offset) => Some(offset),
                    Err(_) if field.optional => None,
                    Err(error) => return Err(error),
                };
            }
        }
        // A kernel that has no such bit reads another byte, and masks it away.
        let iowait = btf.bit("task_struct", "in_iowait");
        values[IN_IOWAIT as usize] = Some(iowait.map_or(0, |(byte, _)| byte));
        let cast = btf.function(CAST);
        let types = cast.and_then(|_| {
            let number = btf.structure("timespec64")?;
            Some((btf.structure("file")?, number, btf.structure("dentry")?))
        });
        let (file, number, dentry) = types.unwrap_or_default();
        values.resize(TYPE_DENTRY as usize + 1, None);
        values[TYPE_FILE as usize] = Some(file);
        values[TYPE_NUMBER as usize] = Some(number);
        values[TYPE_DENTRY as usize] = Some(dentry);
        Ok(Self { values, cast })
    }

    /// Replaces the placeholders of an object.
    ///
    /// A load of a field that this kernel lacks keeps its placeholder: the verifier refuses it
    /// only where it can be reached. An offset that is a value becomes `ABSENT`.
    ///
    /// # Errors
    /// When `object` is not an ELF object.
    pub fn apply(&self, object: &[u8]) -> Result<Vec<u8>, object::Error> {
        let mut filled = object.to_vec();
        for section in object::File::parse(object)?.sections() {
            let Some((start, size)) = section.file_range() else {
                continue;
            };
            if section.kind() == SectionKind::Text
                && let Some(code) = filled.get_mut(start as usize..(start + size) as usize)
            {
                let (instructions, _) = code.as_chunks_mut::<8>();
                instructions.iter_mut().for_each(|one| self.apply_one(one));
            }
        }
        Ok(filled)
    }

    /// Relocates one instruction: operation, registers, offset (2 bytes), number (4 bytes).
    fn apply_one(&self, instruction: &mut [u8; 8]) {
        let [operation, registers, a, b, number @ ..] = *instruction;
        let number = i32::from_le_bytes(number);
        if operation & LOAD_MASK == LOAD {
            let placeholder = i16::from_le_bytes([a, b]).wrapping_sub(LOAD_PLACEHOLDER);
            // Offsets of loaded fields fit; the verifier refuses the placeholder of one that does not.
            if let Some(Some(offset)) = self.values.get(placeholder as u16 as usize)
                && let Ok(offset) = i16::try_from(*offset)
            {
                instruction[2..4].copy_from_slice(&offset.to_le_bytes());
            }
        } else if operation == MOVE {
            let placeholder = number.wrapping_sub(VALUE_PLACEHOLDER) as u32;
            if let Some(value) = self.values.get(placeholder as usize) {
                let value = value.unwrap_or(ABSENT);
                instruction[4..].copy_from_slice(&value.to_le_bytes());
            }
        } else if operation == CALL
            && (registers, number) == (0, CAST_PLACEHOLDER)
            && let Some(function) = self.cast
        {
            instruction[1] = KERNEL_FUNCTION;
            instruction[4..].copy_from_slice(&function.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ABSENT, CAST_PLACEHOLDER, LOAD_PLACEHOLDER, MAX_FIELDS, Relocations, VALUE_PLACEHOLDER,
    };

    fn relocations(cast: Option<u32>) -> Relocations {
        let mut values = vec![None; MAX_FIELDS as usize];
        (values[0], values[1]) = (Some(40), Some(70_000));
        Relocations { values, cast }
    }

    fn applied(
        relocations: &Relocations,
        operation: u8,
        registers: u8,
        offset: i16,
        number: i32,
    ) -> [u8; 8] {
        let mut instruction = bytes(operation, registers, offset, number);
        relocations.apply_one(&mut instruction);
        instruction
    }

    fn bytes(operation: u8, registers: u8, offset: i16, number: i32) -> [u8; 8] {
        let [a, b] = offset.to_le_bytes();
        let [c, d, e, f] = number.to_le_bytes();
        [operation, registers, a, b, c, d, e, f]
    }

    #[test]
    fn a_load_gets_its_offset_and_keeps_the_rest() {
        let relocations = relocations(None);
        // Of 4, 2, 1 and 8 bytes.
        for load in [0x61, 0x69, 0x71, 0x79] {
            assert_eq!(
                applied(&relocations, load, 0x21, LOAD_PLACEHOLDER, 0),
                bytes(load, 0x21, 40, 0)
            );
            // Too far for an instruction, absent here, unknown, and no placeholder.
            for offset in [
                LOAD_PLACEHOLDER + 1,
                LOAD_PLACEHOLDER + 2,
                i16::MAX,
                LOAD_PLACEHOLDER - 1,
                8,
                -8,
            ] {
                assert_eq!(
                    applied(&relocations, load, 0x21, offset, 0),
                    bytes(load, 0x21, offset, 0)
                );
            }
        }
        // Neither stores nor atomic operations.
        for other in [0x63, 0x7b, 0xdb] {
            assert_eq!(
                applied(&relocations, other, 0x21, LOAD_PLACEHOLDER, 0),
                bytes(other, 0x21, LOAD_PLACEHOLDER, 0)
            );
        }
    }

    #[test]
    fn a_move_gets_the_value_or_absent() {
        let relocations = relocations(None);
        assert_eq!(
            applied(&relocations, 0xb7, 1, 0, VALUE_PLACEHOLDER),
            bytes(0xb7, 1, 0, 40)
        );
        assert_eq!(
            applied(&relocations, 0xb7, 1, 0, VALUE_PLACEHOLDER + 1),
            bytes(0xb7, 1, 0, 70_000)
        );
        let absent = bytes(0xb7, 1, 0, ABSENT as i32);
        assert_eq!(
            applied(&relocations, 0xb7, 1, 0, VALUE_PLACEHOLDER + 2),
            absent
        );
        for number in [
            0,
            VALUE_PLACEHOLDER - 1,
            VALUE_PLACEHOLDER + MAX_FIELDS as i32,
            i32::MIN,
            i32::MAX,
        ] {
            assert_eq!(
                applied(&relocations, 0xb7, 1, 0, number),
                bytes(0xb7, 1, 0, number)
            );
        }
    }

    #[test]
    fn the_cast_becomes_the_kernel_s_function_where_there_is_one() {
        let call = |relocations: &Relocations, number| applied(relocations, 0x85, 0, 0, number);
        assert_eq!(
            call(&relocations(Some(7)), CAST_PLACEHOLDER),
            bytes(0x85, 0x20, 0, 7)
        );
        assert_eq!(
            call(&relocations(None), CAST_PLACEHOLDER),
            bytes(0x85, 0, 0, CAST_PLACEHOLDER)
        );
        assert_eq!(call(&relocations(Some(7)), 1), bytes(0x85, 0, 0, 1));
    }

    #[test]
    fn other_bytes_than_an_object_are_an_error() {
        assert!(relocations(None).apply(b"").is_err());
        assert!(relocations(None).apply(b"\x7fELF and no more").is_err());
    }
}
