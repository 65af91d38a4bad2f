//! `bubble-server`: the program. Everything that it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match bubble_server::config::parse().and_then(bubble_server::command::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bubble-server: {}", text_of(&error));
            ExitCode::FAILURE
        }
    }
}

/// The text of an error with its causes. A text that already ends with that of its cause is not
/// repeated.
fn text_of(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            known if known.ends_with(&cause) => text,
            known => format!("{known}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open: {source}")]
    struct Failed {
        source: std::io::Error,
    }

    #[test]
    fn a_cause_is_told_once() {
        let source = std::io::Error::other("no disk");
        let error = anyhow::Error::new(Failed { source }).context("cannot start");
        assert_eq!(text_of(&error), "cannot start: cannot open: no disk");
    }
}
