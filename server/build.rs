//! Rebuilds after the page was rebuilt: Cargo does not know which files are embedded.

fn main() {
    println!("cargo:rerun-if-changed=ui/dist");
}
