//! Hands the linker the memory of the chip. Of the Pico 2: its flash without the last three sectors, which
//! `src/memory.rs` has.

use std::path::PathBuf;

const KIB: u32 = 1024;
const FLASH: u32 = 2_048 * KIB - 3 * 4 * KIB;

fn main() {
    let is_pico_2 = std::env::var_os("CARGO_FEATURE_PICO2").is_some();
    let memory = if is_pico_2 {
        // The boot ROM looks for the image's description in the first 4 KiB.
        format!(
            "MEMORY {{ FLASH : ORIGIN = 0x10000000, LENGTH = {FLASH} RAM : ORIGIN = 0x20000000, LENGTH = 512K }}\n\
             SECTIONS {{ .start_block : ALIGN(4) {{ __start_block_addr = .; KEEP(*(.start_block)); }} > FLASH }} \
             INSERT AFTER .vector_table;\n\
             _stext = ADDR(.start_block) + SIZEOF(.start_block);\n"
        )
    } else {
        // Behind the boot loader, in the first slot.
        "MEMORY { FLASH : ORIGIN = 0x10008000, LENGTH = 160K RAM : ORIGIN = 0x20000000, LENGTH = 264K }\n".to_owned()
    };
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = std::fs::write(out.join("memory.x"), memory) {
        println!("cargo::error=memory.x cannot be written: {error}");
    }
    println!("cargo::rustc-link-search={}", out.display());
}
