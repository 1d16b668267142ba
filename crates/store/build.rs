//! Tells cargo that the migrations, which `sqlx::migrate!` embeds, are part of this crate.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations/postgres");
    println!("cargo::rerun-if-changed=../../migrations/sqlite");
}
