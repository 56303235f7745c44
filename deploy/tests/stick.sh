#!/usr/bin/env bash
# Backups to a stick: one that is full, and one that is pulled out in the middle, keep what they have. A file system in
# memory stands for the stick, in a mount namespace of its own: nothing of this machine is touched.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" != inside ]; then
  if ! unshare --user --map-root-user --mount true 2>/dev/null; then
    echo "SKIPPED: this machine lets nobody mount in a namespace"
    exit
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  unshare --user --map-root-user --mount bash "$0" inside "$work"
  exit
fi

work=$2
binary=$(realpath "${BINARY:-target/debug/ninewatch}")
export NINEWATCH_LANG=en
fail() {
  echo "deploy/tests/stick.sh: $1" >&2
  exit 1
}
backup() { "$binary" backup --usb "$work/stick" --site "$work/site.toml" "$@"; }
whole() {
  for file in "$work"/stick/ninewatch-g/*.nwb; do
    "$binary" backup --check "$file" --passphrase-file "$work/words" >/dev/null 2>&1 || fail "${file##*/} is not whole $1"
  done
}

cat >"$work/site.toml" <<TOML
[gateway]
id = "g"
data_dir = "data"

[console]
listen = "127.0.0.1:0"

[backup]
usb = true
passphrase_file = "words"
TOML
echo "correct horse battery staple" >"$work/words"
# A gateway that has begun once, and holds a photo of some MiB.
"$binary" run --site "$work/site.toml" >/dev/null 2>&1 &
gateway=$!
for _ in $(seq 100); do
  [ -f "$work/data/audit.log" ] && ls "$work"/data/journal/intake/* >/dev/null 2>&1 && break
  sleep 0.2
done
kill -TERM "$gateway" && wait "$gateway" || true
mkdir -p "$work/data/people/photos" && head -c 3000000 /dev/urandom >"$work/data/people/photos/a"

mkdir "$work/stick"
mount -t tmpfs -o size=8m,nosuid,nodev,noexec none "$work/stick"
backup 2>/dev/null >"$work/said" || fail "the first one: $(cat "$work/said")"
whole "at first"
first=$(ls "$work/stick/ninewatch-g")
[ "$(stat -c %a "$work/stick/ninewatch-g/$first")" = 600 ] || fail "others can read it"

# Full: a second one does not fit any more, nor would its verification.
head -c 3500000 /dev/zero >"$work/stick/films"
if backup >/dev/null 2>"$work/said"; then fail "it fits on a stick that is full"; fi
grep -q "the stick is full" "$work/said" || fail "it does not say that the stick is full: $(cat "$work/said")"
[ "$(ls "$work/stick/ninewatch-g")" = "$first" ] || fail "a stick that was full has lost or kept something: $(ls "$work/stick/ninewatch-g")"
whole "on a full stick"
grep -q '"failed":"' "$work/data/backup.json" || fail "the gateway does not know of it"
rm "$work/stick/films"

# Pulled out: the program is gone at any moment, and with it what it has not finished.
cut=0
for wait in 0.02 0.05 0.1 0.2 0.3 0.5 0.8; do
  timeout --signal=KILL "$wait" "$binary" backup --usb "$work/stick" --site "$work/site.toml" >/dev/null 2>&1 || cut=$((cut + 1))
  [ -e "$work/stick/ninewatch-g/$first" ] || [ "$(ls "$work"/stick/ninewatch-g/*.nwb | wc -l)" -ge 1 ] || fail "the former one is gone"
  whole "after it was pulled out after $wait s"
done
[ "$cut" -gt 0 ] || fail "it was never pulled out in the middle"
backup >/dev/null 2>&1 || fail "it does not go on after that"
whole "in the end"
if ls "$work"/stick/ninewatch-g | grep -qv '\.nwb$'; then fail "it leaves something: $(ls "$work/stick/ninewatch-g")"; fi
grep -q '"failed":null' "$work/data/backup.json" || fail "the gateway does not know that it is well again"

# Read only.
mount -o remount,ro "$work/stick"
if backup >/dev/null 2>"$work/said"; then fail "it writes where it cannot"; fi
grep -q "Read-only" "$work/said" || fail "it does not say why: $(cat "$work/said")"
echo "stick: ok"
