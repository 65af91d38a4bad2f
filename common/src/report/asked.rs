//! What was asked for, to compare it with what was used.

/// Seconds of 365 days.
const YEAR: u64 = 365 * 86_400;

/// What was asked for. Absent values are not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// Number of cores.
    pub cores: Option<f64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// The time limit in seconds.
    pub time: Option<u64>,
    /// When that time began, seconds since the Unix epoch; without it at the start.
    pub time_begin: Option<u64>,
}

/// A text that does not say what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not what was asked for: expected cores=32, memory=64G, time=2h or 1-12:00:00, with commas between them"
)]
pub struct InvalidAsked(pub String);

impl std::str::FromStr for Asked {
    type Err = InvalidAsked;

    /// Parses `cores=32,memory=64G,time=2h`.
    fn from_str(text: &str) -> Result<Self, InvalidAsked> {
        let mut asked = Self::default();
        for part in text.split(',') {
            let known = match part.trim().split_once('=') {
                Some(("cores", number)) => {
                    asked.cores = number.parse().ok().filter(|cores| {
                        let cores: f64 = *cores;
                        cores.is_finite() && cores > 0.0
                    });
                    asked.cores.is_some()
                }
                Some(("memory", size)) => {
                    asked.memory = bytes(size).filter(|bytes| *bytes > 0);
                    asked.memory.is_some()
                }
                Some(("time", time)) => {
                    asked.time = duration(time).filter(|seconds| *seconds > 0);
                    asked.time.is_some()
                }
                _ => false,
            };
            if !known {
                return Err(InvalidAsked(text.to_owned()));
            }
        }
        Ok(asked)
    }
}

impl Asked {
    /// What Slurm gives the processes of a job on one node, by their environment (sbatch(1), OUTPUT
    /// ENVIRONMENT VARIABLES). Its sizes are in MiB.
    pub fn of_slurm(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| variable(name)?.trim().parse::<u64>().ok();
        let cores = number("SLURM_CPUS_ON_NODE").filter(|cores| *cores > 0);
        let by_core = || number("SLURM_MEM_PER_CPU")?.checked_mul(cores?);
        // 0 stands for all memory of the node.
        let memory = number("SLURM_MEM_PER_NODE").filter(|size| *size > 0);
        let memory = memory.or_else(by_core).filter(|size| *size > 0);
        // Of the whole job; a run may be one step of it.
        let begin = number("SLURM_JOB_START_TIME");
        let end = number("SLURM_JOB_END_TIME");
        let time = end
            .zip(begin)
            .and_then(|(end, begin)| end.checked_sub(begin));
        // Without a limit Slurm has a time in a year.
        let time = time.filter(|seconds| (1..YEAR).contains(seconds));
        Self {
            cores: cores.map(|cores| cores as f64),
            memory: memory.and_then(|mib| mib.checked_mul(1 << 20)),
            time,
            time_begin: begin.filter(|_| time.is_some()),
        }
    }
}

/// Seconds of `90s`, `30m`, `2h`, `7d`, or of Slurm's `2:00:00` and `1-12:00:00`.
fn duration(text: &str) -> Option<u64> {
    if let Some(unit) = text.chars().next_back().filter(char::is_ascii_alphabetic) {
        let number: u64 = text[..text.len() - 1].parse().ok()?;
        return number.checked_mul(match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        });
    }
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let parts: Vec<u64> = clock
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [hours, minutes @ 0..60, seconds @ 0..60] = parts[..] else {
        return None;
    };
    let days: u64 = days.parse().ok()?;
    let hours = days.checked_mul(24)?.checked_add(hours)?;
    hours
        .checked_mul(3_600)?
        .checked_add(60 * minutes + seconds)
}

/// `64G`, `64GiB`, `512M`, `1000`: bytes, with binary units.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    let bytes = number * (1_u64 << shift) as f64;
    (bytes.is_finite() && bytes >= 0.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn what_was_asked_for_is_parsed() {
        let asked: Asked = "cores=32,memory=64G".parse().unwrap();
        assert_eq!((asked.cores, asked.memory), (Some(32.0), Some(64 << 30)));
        let asked: Asked = "memory=1.5GiB".parse().unwrap();
        assert_eq!((asked.cores, asked.memory), (None, Some(3 << 29)));
        let time = |text: &str| text.parse::<Asked>().unwrap().time;
        assert_eq!(time("time=90s,cores=1"), Some(90));
        assert_eq!(time("time=2h"), Some(7_200));
        assert_eq!(time("time=2:00:30"), Some(7_230));
        assert_eq!(time("time=1-12:00:00"), Some(129_600));
        let wrong = [
            "time=",
            "time=0s",
            "time=90",
            "time=1:30",
            "time=1:60:00",
            "time=1w",
            "time=-1h",
            "time=é",
            "time=99999999999999999999d",
            "",
            "cores",
            "cores=",
            "cores=0",
            "cores=-1",
            "cores=inf",
            "cores=1;memory=1G",
            "memory=1X",
            "memory=é",
            "memory=0",
            "threads=3",
        ];
        for text in wrong {
            let error = text.parse::<Asked>().unwrap_err();
            assert!(error.to_string().contains("cores=32"), "{text}: {error}");
        }
    }

    #[test]
    fn slurm_says_what_a_job_has() {
        let of = |variables: &[(&str, &str)]| {
            let asked = Asked::of_slurm(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            });
            (asked.cores, asked.memory)
        };
        let cores = ("SLURM_CPUS_ON_NODE", "8");
        assert_eq!(of(&[]), (None, None));
        assert_eq!(
            of(&[cores, ("SLURM_MEM_PER_NODE", "2048")]),
            (Some(8.0), Some(2 << 30))
        );
        assert_eq!(
            of(&[cores, ("SLURM_MEM_PER_CPU", "512")]),
            (Some(8.0), Some(4 << 30))
        );
        assert_eq!(of(&[cores, ("SLURM_MEM_PER_NODE", "0")]), (Some(8.0), None));
        assert_eq!(of(&[("SLURM_CPUS_ON_NODE", "many")]), (None, None));
        let time = |end: &str| {
            let asked = Asked::of_slurm(|name| match name {
                "SLURM_JOB_START_TIME" => Some("1790000000".to_owned()),
                "SLURM_JOB_END_TIME" => Some(end.to_owned()),
                _ => None,
            });
            (asked.time, asked.time_begin)
        };
        assert_eq!(time("1790003600"), (Some(3_600), Some(1_790_000_000)));
        assert_eq!(time("1821536000"), (None, None));
        assert_eq!(time("1790000000"), (None, None));
        assert_eq!(time("Unknown"), (None, None));
    }
}
