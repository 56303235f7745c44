#!/usr/bin/env bash
# The package holds what a gateway needs, and the same input gives the same bytes. Nothing is installed; deb_life.sh does.
set -euo pipefail
cd "$(dirname "$0")/../.."
unset RUNNER SOURCE_DATE_EPOCH

fail() {
  echo "deploy/tests/deb.sh: $1" >&2
  exit 1
}
if ! command -v dpkg-deb >/dev/null; then
  [ -z "${CI:-}" ] || fail "dpkg-deb is needed in CI"
  echo "SKIPPED: dpkg-deb is not on this machine"
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export BINARY=${BINARY:-target/debug/ninewatch} COMPRESS=none VERSION=9.8.7
arch=$(dpkg --print-architecture)
OUT=$work/one bash deploy/deb.sh "$arch" >/dev/null
OUT=$work/two bash deploy/deb.sh "$arch" >/dev/null
deb=$work/one/ninewatch_9.8.7_$arch.deb
cmp "$deb" "$work/two/ninewatch_9.8.7_$arch.deb" || fail "two builds of the same differ"

[ "$(dpkg-deb --field "$deb" Version)" = 9.8.7 ] || fail "it has another version"
dpkg-deb --field "$deb" Depends | grep -Eq 'libc6 \(>= 2\.[0-9]+\)' || fail "it does not say which C library it needs"
dpkg-deb --contents "$deb" | awk '$2 != "root/root" { print; found = 1 } END { exit found }' ||
  fail "these belong to somebody else than root"
dpkg-deb --raw-extract "$deb" "$work/root"
[ "$(cat "$work/root/DEBIAN/conffiles")" = /etc/ninewatch/site.toml ] || fail "site.toml is no conffile"
for file in usr/bin/ninewatch usr/lib/ninewatch/libonnxruntime.so usr/lib/systemd/system/ninewatch.service \
  usr/lib/sysusers.d/ninewatch.conf usr/lib/tmpfiles.d/ninewatch.conf usr/share/man/man1/ninewatch.1.gz \
  usr/share/man/man1/ninewatch-run.1.gz usr/share/man/man1/ninewatch-device-add.1.gz \
  usr/share/bash-completion/completions/ninewatch usr/share/zsh/vendor-completions/_ninewatch \
  usr/share/fish/vendor_completions.d/ninewatch.fish usr/share/doc/ninewatch/copyright \
  usr/share/doc/ninewatch/onnxruntime-ThirdPartyNotices.txt.gz; do
  [ -s "$work/root/$file" ] || fail "$file is not in it"
done
[ ! -e "$work/root/usr/share/man/man1/ninewatch-manual.1.gz" ] || fail "there is a page for what only builds use"
(cd "$work/root" && md5sum --quiet --check DEBIAN/md5sums) || fail "its sums are wrong"
for script in postinst prerm postrm; do
  sh -n "$work/root/DEBIAN/$script" || fail "$script is no shell script"
done

# Whoever types finds every command that the help shows.
commands=$("$BINARY" --lang en --help | awk '/^Commands:/ { on = 1; next } /^[A-Z]/ { on = 0 } on && /^  [a-z]/ { print $1 }')
[ -n "$commands" ] || fail "the help lists no command"
for command in $commands; do
  grep -q "ninewatch__subcmd__$command\b\|ninewatch,$command)" "$work/root/usr/share/bash-completion/completions/ninewatch" ||
    fail "bash does not complete $command"
done

if bash deploy/deb.sh riscv64 >/dev/null 2>"$work/said"; then
  fail "it makes a package for a processor that it has no program for"
fi
grep -q riscv64 "$work/said" || fail "it does not say which architecture it cannot do"
echo "deb: ok"
