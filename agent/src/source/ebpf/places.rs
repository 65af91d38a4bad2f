//! Fills in what only the running kernel knows: the object has places for it, which are
//! instructions with a number that stands for something (`bubble_common::kernel::offsets`).

use bubble_common::kernel::offsets::{
    ABSENT, CAST, CAST_PLACE, LOAD_PLACE, MOST, TABLES, TYPE_FILE, TYPE_NUMBER, VALUE_PLACE,
};
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

/// What is put in the places.
pub struct Places {
    /// Offsets of fields and numbers of types, by their own numbers; nothing where this kernel has no
    /// such field.
    values: Vec<Option<u32>>,
    /// Number of the function [`CAST`].
    cast: Option<u32>,
}

impl Places {
    /// Looks everything up.
    ///
    /// # Errors
    /// When the kernel lacks a field that is not optional.
    pub fn of(btf: &Btf) -> Result<Self, BtfError> {
        let mut values = vec![None; MOST as usize];
        for (first, fields) in TABLES {
            for (field, place) in fields.iter().zip(&mut values[first as usize..]) {
                *place = match btf.offset(field.of, field.path) {
                    Ok(offset) => Some(offset),
                    Err(_) if field.optional => None,
                    Err(error) => return Err(error),
                };
            }
        }
        let cast = btf.function(CAST);
        let types = cast.and_then(|_| Some((btf.structure("file")?, btf.structure("timespec64")?)));
        let (file, number) = types.unwrap_or_default();
        values.resize(TYPE_NUMBER as usize + 1, None);
        values[TYPE_FILE as usize] = Some(file);
        values[TYPE_NUMBER as usize] = Some(number);
        Ok(Self { values, cast })
    }

    /// The object with everything in its place. What this kernel lacks stays as it is, but for
    /// offsets that are asked for as such, which become `ABSENT`: the verifier refuses
    /// what it cannot run, and does not look at what is never run.
    ///
    /// # Errors
    /// When it is no object.
    pub fn fill(&self, object: &[u8]) -> Result<Vec<u8>, object::Error> {
        let mut filled = object.to_vec();
        for section in object::File::parse(object)?.sections() {
            let Some((start, size)) = section.file_range() else {
                continue;
            };
            if section.kind() == SectionKind::Text
                && let Some(code) = filled.get_mut(start as usize..(start + size) as usize)
            {
                let (instructions, _) = code.as_chunks_mut::<8>();
                instructions.iter_mut().for_each(|one| self.fill_one(one));
            }
        }
        Ok(filled)
    }

    /// An instruction: operation, registers, offset (2 bytes), number (4 bytes).
    fn fill_one(&self, instruction: &mut [u8; 8]) {
        let [operation, registers, a, b, number @ ..] = *instruction;
        let number = i32::from_le_bytes(number);
        if operation & LOAD_MASK == LOAD {
            let place = i16::from_le_bytes([a, b]).wrapping_sub(LOAD_PLACE);
            // Offsets of fields that we load are small; else the verifier refuses what stays.
            if let Some(Some(offset)) = self.values.get(place as u16 as usize)
                && let Ok(offset) = i16::try_from(*offset)
            {
                instruction[2..4].copy_from_slice(&offset.to_le_bytes());
            }
        } else if operation == MOVE {
            let place = number.wrapping_sub(VALUE_PLACE) as u32;
            if let Some(value) = self.values.get(place as usize) {
                let value = value.unwrap_or(ABSENT);
                instruction[4..].copy_from_slice(&value.to_le_bytes());
            }
        } else if operation == CALL
            && (registers, number) == (0, CAST_PLACE)
            && let Some(function) = self.cast
        {
            instruction[1] = KERNEL_FUNCTION;
            instruction[4..].copy_from_slice(&function.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ABSENT, CAST_PLACE, LOAD_PLACE, MOST, Places, VALUE_PLACE};

    fn places(cast: Option<u32>) -> Places {
        let mut values = vec![None; MOST as usize];
        (values[0], values[1]) = (Some(40), Some(70_000));
        Places { values, cast }
    }

    fn filled(places: &Places, operation: u8, registers: u8, offset: i16, number: i32) -> [u8; 8] {
        let mut instruction = bytes(operation, registers, offset, number);
        places.fill_one(&mut instruction);
        instruction
    }

    fn bytes(operation: u8, registers: u8, offset: i16, number: i32) -> [u8; 8] {
        let [a, b] = offset.to_le_bytes();
        let [c, d, e, f] = number.to_le_bytes();
        [operation, registers, a, b, c, d, e, f]
    }

    #[test]
    fn loads_get_their_offset_and_keep_what_else_they_have() {
        let places = places(None);
        // Of 4, 2, 1 and 8 bytes.
        for load in [0x61, 0x69, 0x71, 0x79] {
            assert_eq!(
                filled(&places, load, 0x21, LOAD_PLACE, 0),
                bytes(load, 0x21, 40, 0)
            );
            // Too far for an instruction, unknown, of another number, and no place at all.
            for offset in [
                LOAD_PLACE + 1,
                LOAD_PLACE + 2,
                i16::MAX,
                LOAD_PLACE - 1,
                8,
                -8,
            ] {
                assert_eq!(
                    filled(&places, load, 0x21, offset, 0),
                    bytes(load, 0x21, offset, 0)
                );
            }
        }
        // A store is none, nor is a load that is an atomic operation.
        for other in [0x63, 0x7b, 0xdb] {
            assert_eq!(
                filled(&places, other, 0x21, LOAD_PLACE, 0),
                bytes(other, 0x21, LOAD_PLACE, 0)
            );
        }
    }

    #[test]
    fn moves_get_the_number_or_that_there_is_none() {
        let places = places(None);
        assert_eq!(
            filled(&places, 0xb7, 1, 0, VALUE_PLACE),
            bytes(0xb7, 1, 0, 40)
        );
        assert_eq!(
            filled(&places, 0xb7, 1, 0, VALUE_PLACE + 1),
            bytes(0xb7, 1, 0, 70_000)
        );
        let absent = bytes(0xb7, 1, 0, ABSENT as i32);
        assert_eq!(filled(&places, 0xb7, 1, 0, VALUE_PLACE + 2), absent);
        for number in [
            0,
            VALUE_PLACE - 1,
            VALUE_PLACE + MOST as i32,
            i32::MIN,
            i32::MAX,
        ] {
            assert_eq!(
                filled(&places, 0xb7, 1, 0, number),
                bytes(0xb7, 1, 0, number)
            );
        }
    }

    #[test]
    fn the_cast_becomes_the_kernel_s_function_where_there_is_one() {
        let call = |places: &Places, number| filled(places, 0x85, 0, 0, number);
        assert_eq!(call(&places(Some(7)), CAST_PLACE), bytes(0x85, 0x20, 0, 7));
        assert_eq!(
            call(&places(None), CAST_PLACE),
            bytes(0x85, 0, 0, CAST_PLACE)
        );
        assert_eq!(call(&places(Some(7)), 1), bytes(0x85, 0, 0, 1));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        assert!(places(None).fill(b"").is_err());
        assert!(places(None).fill(b"\x7fELF and no more").is_err());
    }
}
