//! Any bytes as output of `sysdig -pc`, read as JSON.

#![no_main]

use bubble_agent::source::sysdig::Syntax;
use bubble_fuzz::read_sysdig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| read_sysdig(data, Syntax::Json));
