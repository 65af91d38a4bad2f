//! Offsets of fields in the kernel's structs. They differ between kernels, so the programs are
//! compiled with placeholders: instructions that hold the number of a field instead of its offset.
//! The agent finds the offsets in the running kernel's BTF and fills them in before it loads the
//! programs, as `libbpf` does for C with CO-RE relocations.
//!
//! Each concern declares its fields beside its other shared types, under their C names.

/// Placeholder of an instruction that loads field number N: its offset is this plus N. No struct of
/// ours is that large.
pub const LOAD_PLACEHOLDER: i16 = 0x7000;
/// Placeholder of an instruction that moves the offset of field number N to a register: its immediate
/// value is this plus N.
pub const VALUE_PLACEHOLDER: i32 = 0x7bbb_0000;
/// Upper bound of the numbers of fields.
pub const MAX_FIELDS: u32 = 0x400;

/// Name of the kernel function that gives a pointer a type (since 6.2).
pub const CAST: &str = "bpf_rdonly_cast";
/// Placeholder of a call of [`CAST`], as if it were a helper of that number. The agent fills in the
/// function's BTF id.
pub const CAST_PLACEHOLDER: i32 = 0x7bbb_1000;
/// Number of the placeholder for the BTF id of `struct file`. The id is 0 if this kernel lacks [`CAST`].
pub const TYPE_FILE: u32 = MAX_FIELDS;
/// Number of the placeholder for the BTF id of a type that begins with a 64-bit number (`struct timespec64`).
pub const TYPE_NUMBER: u32 = MAX_FIELDS + 1;
/// Number of the placeholder for the BTF id of `struct dentry`, likewise.
pub const TYPE_DENTRY: u32 = MAX_FIELDS + 2;

/// A field of a kernel struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name of the struct.
    pub of: &'static str,
    /// Path of members, joined by dots. Members of anonymous members count as the struct's own; an
    /// array stands for its first element.
    pub path: &'static str,
    /// Whether a kernel may lack it.
    pub optional: bool,
}

/// Offset of an optional field that this kernel lacks.
pub const ABSENT: u32 = u32::MAX;

/// Declares a table of fields: a struct that numbers them, beginning with `from`, and the names of the
/// fields in the same order. The struct is never instantiated.
#[macro_export]
macro_rules! offsets {
    (
        $(#[$meta:meta])*
        pub struct $name:ident from $first:literal {
            $($(#[$doc:meta])* $field:ident = $kind:ident $of:literal . $path:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        pub struct $name {
            $($(#[$doc])* #[doc = concat!("Offset of `", $of, ".", $path, "`.")] pub $field: u32,)+
        }

        impl $name {
            /// The fields, in the order of the struct.
            pub const FIELDS: &'static [$crate::kernel::offsets::Field] = &[
                $($crate::kernel::offsets::Field {
                    of: $of,
                    path: $path,
                    optional: $crate::offsets!(@optional $kind),
                },)+
            ];

            /// Number of the first field.
            pub const FIRST: u32 = $first;

            /// Number of the field at byte `place` of this struct.
            pub const fn number(place: usize) -> u32 {
                Self::FIRST + (place / size_of::<u32>()) as u32
            }
        }

        const _: () = assert!(size_of::<$name>() == 4 * $name::FIELDS.len());
    };
    (@optional required) => { false };
    (@optional optional) => { true };
}
