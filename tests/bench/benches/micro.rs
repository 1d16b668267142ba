//! Times the parts of [`bench::micro`]: `cargo bench -p bench`. On a machine that others use, read the fastest.

use bench::micro::{CASES, Case};

fn main() {
    divan::main();
}

#[divan::bench(args = CASES)]
fn part(bencher: divan::Bencher<'_, '_>, case: &Case) {
    let once = (case.make)();
    bencher.bench_local(once);
}
