//! Builds the server again when a file of the web client appears or goes, not only when one changes.

fn main() {
    println!("cargo:rerun-if-changed=../../clients/web");
}
