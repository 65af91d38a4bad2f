//! Rows of a body: arrays, mostly of strings except for the last column.

use std::borrow::Cow;
use std::fmt;

use crate::segment::ContainerId;
use crate::segment::process::ProcessId;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, de};

use crate::short_id::short_id;

/// Why a row is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Too few columns, too many, or not an array.
    #[error("it does not have the columns of its evt_type")]
    Shape,
    /// A column that must be a number is text, negative or too large.
    #[error("a number in it is invalid or out of range")]
    Number,
    /// The process id is 0 or missing.
    #[error("it names no process")]
    Process,
    /// The container's id is invalid.
    #[error("it names no container")]
    Container,
    /// The body names too many containers.
    #[error("the body is about more containers than a host has")]
    Containers,
    /// Neither `in` nor `out`.
    #[error("its direction is neither in nor out")]
    Direction,
}

/// A row of `cpu`.
#[derive(Deserialize)]
pub(super) struct CpuRow<'a> {
    pub(super) core: Number,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    pub(super) pid: Number,
    pub(super) container_pid: Number,
    pub(super) vm_kib: Number,
    #[serde(borrow)]
    pub(super) container: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) exe: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) args: Cow<'a, str>,
    pub(super) parent: Number,
    pub(super) ns: Number,
}

/// A row of `fd`.
#[derive(Deserialize)]
pub(super) struct FdRow<'a> {
    pub(super) pid: Number,
    pub(super) container_pid: Number,
    #[serde(borrow)]
    pub(super) container: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) direction: Cow<'a, str>,
    pub(super) bytes: Number,
}

/// A number, given as a number or as text. `None` if it is neither, which is an error only on use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number(Option<u64>);

impl Number {
    /// The number.
    pub(super) fn whole(self) -> Result<u64, RowError> {
        self.0.ok_or(RowError::Number)
    }

    /// The number, or 0 if it is invalid: for optional columns.
    pub(super) fn or_zero(self) -> u32 {
        self.narrow().unwrap_or(0)
    }

    /// The number, if it has at most 32 bits.
    pub(super) fn narrow(self) -> Result<u32, RowError> {
        u32::try_from(self.whole()?).map_err(|_| RowError::Number)
    }
}

/// A process by its pid alone: the wire has neither its start nor its execs.
pub(super) fn process(pid: &Number) -> Result<ProcessId, RowError> {
    match pid.narrow()? {
        0 => Err(RowError::Process),
        pid => Ok(ProcessId {
            pid,
            ..ProcessId::default()
        }),
    }
}

/// The container: its id, or the part `job_N` of the cgroup path of a Slurm job, as in the Python
/// system.
pub(super) fn container(text: &str) -> Result<ContainerId, RowError> {
    let job = |path: &str| {
        let mut parts = path.split('/');
        parts
            .find(|part| part.starts_with("job_"))
            .map(str::to_owned)
    };
    let id = match text.starts_with('/') {
        true if text.contains("/slurm") => job(text),
        true => None,
        false => Some(text.to_owned()),
    };
    id.and_then(|id| short_id(&id)).ok_or(RowError::Container)
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a number as text")
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Number, E> {
                Ok(Number(Some(n)))
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Number, E> {
                Ok(Number(u64::try_from(n).ok()))
            }

            fn visit_f64<E: de::Error>(self, n: f64) -> Result<Number, E> {
                // Lua has only floats. 2^64 is the first that does not fit.
                let fits = (0.0..18_446_744_073_709_551_616.0).contains(&n);
                Ok(Number(fits.then(|| n.round() as u64)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                match text.parse::<u64>() {
                    Ok(n) => Ok(Number(Some(n))),
                    Err(_) => text
                        .parse::<f64>()
                        .map_or(Ok(Number(None)), |n| self.visit_f64(n)),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}
