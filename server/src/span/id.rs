//! What ids of Slurm's jobs have in common.

use bubble_common::segment::ContainerId;

/// The number of the Slurm job that the container belongs to: `job_42` is the whole job, as the
/// chisel posts it, and `slurm-42.STEP@HOST` a step of it on one host, as the agent does.
pub fn job_of(id: &ContainerId) -> Option<&str> {
    let id = id.as_str();
    let job = match id.strip_prefix("job_") {
        Some(job) => job,
        None => id.strip_prefix("slurm-")?.split_once('.')?.0,
    };
    Some(job).filter(|job| !job.is_empty() && job.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether the container is a step of a Slurm job whose id has the job's sortable id (SLUID) and not its
/// number: `slurm-sEKNKTV3WPV500.0@node7`.
pub fn is_of_sortable_job(id: &ContainerId) -> bool {
    let id = id.as_str();
    let job = id
        .strip_prefix("slurm-s")
        .and_then(|rest| rest.split_once('.'));
    job.is_some_and(|(job, _)| !job.is_empty() && job.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Whether the container is a Slurm job or a step of one, whichever id of the job its own has.
pub fn is_of_job(id: &ContainerId) -> bool {
    job_of(id).is_some() || is_of_sortable_job(id)
}

/// The number of the job, if `id` is a whole Slurm job.
pub fn whole_job(id: &ContainerId) -> Option<&str> {
    job_of(id).filter(|_| id.as_str().starts_with("job_"))
}

/// Whether whoever may read `own` may read `id`, as far as the ids tell: it is the same container, or
/// `own` is a whole job and `id` a step of it.
pub fn includes(own: &ContainerId, id: &ContainerId) -> bool {
    let job = whole_job(own);
    own == id || (job.is_some() && job == job_of(id))
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::ContainerId;

    use super::{includes, is_of_job, is_of_sortable_job, job_of};

    #[test]
    fn a_job_includes_its_steps_and_no_others() {
        let id = |text: &str| ContainerId::new(text).expect("an id");
        for (text, job) in [
            ("job_42", Some("42")),
            ("slurm-42.0@node7", Some("42")),
            ("slurm-42.batch@node7", Some("42")),
            ("job_", None),
            ("job_4x", None),
            ("slurm-42", None),
            ("5961688fa2f4", None),
        ] {
            assert_eq!(job_of(&id(text)), job, "{text}");
            assert_eq!(is_of_job(&id(text)), job.is_some(), "{text}");
        }
        for (text, expected) in [
            ("slurm-sEKNKTV3WPV500.0@node7", true),
            ("slurm-42.0@node7", false),
            ("slurm-s.0@node7", false),
            ("sEKNKTV3WPV500.0", false),
        ] {
            assert_eq!(is_of_sortable_job(&id(text)), expected, "{text}");
            let is_job = expected || text.starts_with("slurm-42");
            assert_eq!(is_of_job(&id(text)), is_job, "{text}");
        }
        for (own, other, expected) in [
            ("job_42", "slurm-42.0@node7", true),
            ("job_42", "job_42", true),
            ("job_42", "slurm-421.0@node7", false),
            ("slurm-42.0@node7", "slurm-42.1@node7", false),
            ("slurm-42.0@node7", "job_42", false),
            ("job_4x", "slurm-4x.0@node7", false),
        ] {
            assert_eq!(includes(&id(own), &id(other)), expected, "{own} {other}");
        }
    }
}
