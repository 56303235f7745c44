#!/usr/bin/env bash
# Packs a built Ninewatch: target/deb/ninewatch_VERSION_ARCH.deb. `make deb` calls it. Same input, same bytes.
#   deploy/deb.sh amd64|arm64        BINARY and RUNTIME as in install.sh; VERSION, OUT, COMPRESS (none: quick)
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

arch=${1:?which architecture, amd64 or arm64}
version=${VERSION:-$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)}
out=${OUT:-target/deb}
own=$(dpkg --print-architecture)
if [ "$arch" = "$own" ]; then
  export BINARY=${BINARY:-target/release/ninewatch} RUNTIME=${RUNTIME:-target/onnxruntime/libonnxruntime.so}
elif [ "$arch" = arm64 ]; then
  export BINARY=${BINARY:-target/cross/aarch64-unknown-linux-gnu/release/ninewatch} RUNNER=qemu-aarch64-static
  export RUNTIME=${RUNTIME:-target/cross/onnxruntime/libonnxruntime.so}
else
  echo "A package for $arch cannot be made on $own: there is a cross build for arm64 alone." >&2
  exit 2
fi
# The last change of what is packed; a checkout without history says so by this year's beginning.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}
export SOURCE_DATE_EPOCH

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
DESTDIR="$root" sh deploy/install.sh >/dev/null

# A gateway goes back from an update by itself, and so takes none that writes another journal.
sed -n 's/^pub(crate) const FORMAT: u32 = \([0-9]*\);$/\1/p' gateway/app/src/journal/mod.rs \
  >"$root/usr/lib/ninewatch/journal-format"
if [ ! -s "$root/usr/lib/ninewatch/journal-format" ]; then
  echo "gateway/app/src/journal/mod.rs does not say the journal's FORMAT" >&2
  exit 1
fi
chmod 0644 "$root/usr/lib/ninewatch/journal-format"

doc="$root/usr/share/doc/ninewatch"
install -d "$doc"
install -m 0644 deploy/debian/copyright "$doc/copyright"
gzip -9nc CHANGELOG.md >"$doc/NEWS.gz"
printf 'ninewatch (%s) unstable; urgency=medium\n\n  * What is new: NEWS.gz\n\n -- %s  %s\n' "$version" \
  "$(sed -n 's/^Maintainer: //p' deploy/debian/control)" "$(LC_ALL=C date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")" |
  gzip -9nc >"$doc/changelog.gz"
notices=$(dirname "$RUNTIME")/ThirdPartyNotices.txt
if [ ! -f "$notices" ]; then
  echo "$notices is not there: ONNX Runtime may be passed on with its notices only; run models/fetch_runtime.sh" >&2
  exit 1
fi
gzip -9nc "$notices" >"$doc/onnxruntime-ThirdPartyNotices.txt.gz"
install -D -m 0644 deploy/debian/lintian-overrides "$root/usr/share/lintian/overrides/ninewatch"

# The C library that the symbols want; Debian's own tool would need that architecture's packages.
glibc=$(readelf --wide --version-info "$root/usr/bin/ninewatch" "$root/usr/lib/ninewatch/libonnxruntime.so" |
  grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -V | tail -n 1)
install -d "$root/DEBIAN"
size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/; s/@GLIBC@/$glibc/" deploy/debian/control \
  >"$root/DEBIAN/control"
echo /etc/ninewatch/site.toml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
  install -m 0755 "deploy/debian/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$out"
package=$out/ninewatch_${version}_$arch.deb
dpkg-deb --root-owner-group "-Z${COMPRESS:-xz}" --build "$root" "$package" >/dev/null
echo "$package $(du -h --apparent-size "$package" | cut -f1)"
