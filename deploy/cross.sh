#!/bin/sh
# Builds the program for arm64 with what Debian ships, on an amd64 Debian. It installs nothing: what is missing, it names.
set -eu
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu

missing=
for package in rustc-web cargo-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
    missing="$missing $package"
done
if [ -n "$missing" ]; then
  {
    echo "交叉编译缺少软件包 / The cross build lacks packages. Run as root:"
    echo "  dpkg --add-architecture arm64 && apt-get update"
    echo "  apt-get install --no-install-recommends$missing"
  } >&2
  exit 1
fi

# Debian's compiler has a standard library for arm64; it does not mix with that of another compiler in PATH.
PATH=/usr/bin:/bin CARGO_TARGET_DIR=target/cross CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
  /usr/bin/cargo build --release --locked --target $target -p ninewatch
# Beside the program, where it finds it.
models/fetch_runtime.sh aarch64 target/cross/onnxruntime
# It is run, not only built. No `-L`: with one, threads hang.
timeout 120 qemu-aarch64-static target/cross/$target/release/ninewatch --version
