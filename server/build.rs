//! Builds again when the page was built again: what is embedded is not known to Cargo.

fn main() {
    println!("cargo:rerun-if-changed=ui/dist");
}
