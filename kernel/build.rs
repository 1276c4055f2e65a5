//! Makes the program's own `write`, `read` and so on visible to the libraries that it loads, sees to it
//! that the runtime crate's source, which the program carries, is the present one, and notes the
//! version of Rust.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=runtime");
    // See `cell_process.rs`: the standard library that the cells share must find these here before
    // it finds libc's.
    for symbol in ["write", "writev", "read", "isatty"] {
        println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = version.unwrap_or_default();
    // `rustc 1.95.0 (59807616e 2026-04-14)`
    let number = version.split(' ').nth(1).unwrap_or("unknown");
    println!("cargo::rustc-env=RUST_VERSION={number}");
}
