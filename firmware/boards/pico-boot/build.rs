//! Hands the linker the first 28 KiB of flash; what follows: `src/main.rs`.

use std::path::PathBuf;

const PICO: &str = "MEMORY {
  BOOT2 : ORIGIN = 0x10000000, LENGTH = 0x100
  FLASH : ORIGIN = 0x10000100, LENGTH = 0x6f00
  RAM : ORIGIN = 0x20000000, LENGTH = 264K
}
";

/// Its boot ROM looks for the image's description in the first 4 KiB.
const PICO_2: &str = "MEMORY {
  FLASH : ORIGIN = 0x10000000, LENGTH = 0x7000
  RAM : ORIGIN = 0x20000000, LENGTH = 512K
}
SECTIONS {
  .start_block : ALIGN(4) { __start_block_addr = .; KEEP(*(.start_block)); } > FLASH
} INSERT AFTER .vector_table;
_stext = ADDR(.start_block) + SIZEOF(.start_block);
";

fn main() {
    let is_pico_2 = std::env::var_os("CARGO_FEATURE_PICO2").is_some();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = std::fs::write(out.join("memory.x"), if is_pico_2 { PICO_2 } else { PICO }) {
        println!("cargo::error=memory.x cannot be written: {error}");
    }
    println!("cargo::rustc-link-search={}", out.display());
    if !is_pico_2 {
        println!("cargo::rustc-link-arg-bins=-Tlink-rp.x");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
