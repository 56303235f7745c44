#!/bin/sh
# What `deploy/install.sh` lays down is enough for the gateway to check its site and to start.
set -eu
cd "$(dirname "$0")/../.."

fail() {
  echo "deploy/tests/install.sh: $1" >&2
  exit 1
}

dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
export DESTDIR="$dest" BINARY="${BINARY:-target/debug/ninewatch}"
sh deploy/install.sh

for file in usr/bin/ninewatch usr/lib/ninewatch/libonnxruntime.so usr/lib/systemd/system/ninewatch.service etc/ninewatch/site.toml \
  usr/lib/systemd/system/ninewatch-backup.service usr/lib/systemd/system/ninewatch-backup.timer \
  usr/lib/systemd/system/run-ninewatch-stick.mount usr/lib/udev/rules.d/70-ninewatch.rules; do
  [ -s "$dest/$file" ] || fail "$file is not there"
done

# The shipped site file is right; a data folder of our own stands for /var/lib.
site="$dest/etc/ninewatch/site.toml"
sed -i "s#/var/lib/ninewatch#$dest/var/lib/ninewatch#" "$site"
said=$("$dest/usr/bin/ninewatch" --lang en check --site "$site") || fail "the shipped site.toml does not pass: $said"
case "$said" in
  *" 7 models"*) ;;
  *) fail "the installed runtime or model is not found: $said" ;;
esac

# A second installation keeps what a person wrote.
echo "# mine" >>"$site"
sh deploy/install.sh >/dev/null
grep -q "^# mine" "$site" || fail "site.toml was overwritten"

if command -v systemd-analyze >/dev/null; then
  # It wants the binary and the man page where the unit says; only its own complaints count.
  told=$(systemd-analyze verify "$dest"/usr/lib/systemd/system/*ninewatch* 2>&1 | grep -v -e "is not executable" -e "^[^ ]* Command .man " || true)
  case "$told" in
    *ninewatch*) fail "systemd does not like the units: $told" ;;
  esac
  systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' "$dest/usr/lib/systemd/system/ninewatch-backup.timer")" >/dev/null ||
    fail "the timer has no time"
fi
echo "deploy: ok"
