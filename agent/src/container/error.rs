//! What errors of reading cgroups say.

use std::io;

/// Whether the error says that the file does not exist: its controller is not there or cannot do this,
/// or the cgroup is removed.
pub(super) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || [libc::ENODEV, libc::EOPNOTSUPP, libc::EINVAL]
            .map(Some)
            .contains(&error.raw_os_error())
}

/// Whether an error says that the host has no more descriptors or memory now, and nothing about the file.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    let errors = [libc::EMFILE, libc::ENFILE, libc::ENOMEM];
    errors.map(Some).contains(&error.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::{is_absent, is_exhausted};

    #[test]
    fn an_error_that_may_pass_is_not_absence() {
        for error in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            let error = Error::from_raw_os_error(error);
            assert!(is_exhausted(&error) && !is_absent(&error), "{error}");
        }
        for error in [libc::ENOENT, libc::ENODEV, libc::EOPNOTSUPP] {
            let error = Error::from_raw_os_error(error);
            assert!(is_absent(&error) && !is_exhausted(&error), "{error}");
        }
        let denied = Error::from_raw_os_error(libc::EACCES);
        assert!(!is_absent(&denied) && !is_exhausted(&denied));
    }
}
