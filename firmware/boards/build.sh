#!/usr/bin/env bash
# Builds the firmware of all boards, or of those that are named, into target/firmware: BOARD.elf, BOARD.bin,
# BOARD.json. Installs nothing; says what is missing.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
out=$root/target/firmware
needed=1.92.0

# The first toolchain that is new enough and has the standard library's sources, or has it built for all targets.
declare -A targets=([qemu]=thumbv7m-none-eabi [pico]=thumbv6m-none-eabi [pico2]=thumbv8m.main-none-eabihf
  [nucleo-f411]=thumbv7em-none-eabihf)
boards=("${@:-}")
[ -n "${boards[0]}" ] || boards=(qemu pico pico2 nucleo-f411)
new_enough() { [ "$(printf '%s\n' "$needed" "$("$1" --version | cut -d' ' -f2)" | sort -V | head -1)" = "$needed" ]; }
sources_of() { [ -f "$("$1" --print sysroot)/lib/rustlib/src/rust/library/core/Cargo.toml" ]; }
built_of() {
  local lib
  lib=$("$1" --print sysroot)/lib/rustlib
  for board in "${boards[@]}"; do [ -d "$lib/${targets[$board]}" ] || return 1; done
}
for board in "${boards[@]}"; do
  [ -n "${targets[$board]:-}" ] || { echo "there is no board $board: ${!targets[*]}" >&2; exit 2; }
done
rustc='' std=()
for candidate in /usr/bin/rustc "$(command -v rustc || true)"; do
  [ -x "$candidate" ] && [ -x "$(dirname "$candidate")/cargo" ] && new_enough "$candidate" || continue
  if built_of "$candidate"; then rustc=$candidate; break; fi
  if sources_of "$candidate"; then rustc=$candidate std=(-Zbuild-std=core); break; fi
done
if [ -z "$rustc" ] || ! command -v ld.lld >/dev/null; then
  cat >&2 <<EOF
make firmware needs Rust $needed or newer with the standard library's sources, and lld. On Debian, as root:
  apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld
or with rustup:
  rustup component add rust-src && apt-get install lld
EOF
  exit 1
fi
echo "with $("$rustc" --version)"
# Building the standard library is not stable; this lets a stable toolchain do it.
[ "${#std[@]}" = 0 ] || export RUSTC_BOOTSTRAP=1
# A linked toolchain of rustup would look for its own rustc.
export RUSTC=$rustc
mkdir -p "$out"
build() { # BOARD PACKAGE ELF [ARG...]
  "$(dirname "$rustc")/cargo" build --release --locked "${std[@]}" --target-dir "$root/target/firmware-build" \
    --target "${targets[$1]}" -p "$2" "${@:4}"
  cp "$root/target/firmware-build/${targets[$1]}/release/$2" "$out/$3.elf"
}
for board in "${boards[@]}"; do
  case $board in
    pico)
      build pico ninewatch-pico-boot pico.boot
      build pico ninewatch-pico pico --features pico
      ;;
    pico2) build pico2 ninewatch-pico pico2 --features pico2 ;;
    *) build "$board" "ninewatch-$board" "$board" ;;
  esac
done
python3 image.py "${boards[@]/#/$out/}"
