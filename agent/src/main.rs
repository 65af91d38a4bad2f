//! Entry point of `bubble-agent`.

fn main() {}
