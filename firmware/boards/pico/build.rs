//! Hands the linker the memory of the chip: the first slot, behind the boot loader (`../pico-boot/src/main.rs`).

use std::path::PathBuf;

fn main() {
    let is_pico_2 = std::env::var_os("CARGO_FEATURE_PICO2").is_some();
    let ram = if is_pico_2 { "512K" } else { "264K" };
    let memory =
        format!("MEMORY {{ FLASH : ORIGIN = 0x10008000, LENGTH = 160K RAM : ORIGIN = 0x20000000, LENGTH = {ram} }}\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = std::fs::write(out.join("memory.x"), memory) {
        println!("cargo::error=memory.x cannot be written: {error}");
    }
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed=build.rs");
}
