#!/usr/bin/env bash
# The package's whole life: installed, upgraded, removed, purged, by dpkg, on a copy of this system that is thrown away.
# The copy is an overlay over `/` in a mount namespace of its own: nothing here is changed. Run as root, after `make deb`.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
  echo "deploy/tests/deb_life.sh: $1" >&2
  exit 1
}

arch=$(dpkg --print-architecture)
if [ "${1:-}" != inside ]; then
  [ "$(id -u)" = 0 ] || fail "run it as root: it mounts an overlay and runs dpkg in it"
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)
  deb=target/deb/ninewatch_${version}_$arch.deb
  [ -f "$deb" ] || fail "$deb is not there: run \`make deb\` first"
  if command -v lintian >/dev/null; then
    lintian --fail-on error,warning "$deb" || fail "lintian has complaints"
  else
    echo "SKIPPED: lintian is not on this machine (apt-get install lintian)"
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/upper"
  cp "$deb" "$work/old.deb"
  # The same program as a later version, with another site file, as a new release might bring.
  dpkg-deb --raw-extract "$deb" "$work/new"
  sed -i 's/^Version: .*/Version: 999/' "$work/new/DEBIAN/control"
  echo '# A newer hint.' >>"$work/new/etc/ninewatch/site.toml"
  dpkg-deb --root-owner-group -Znone --build "$work/new" "$work/new.deb" >/dev/null
  unshare --mount --propagation private bash "$0" inside "$work"
  echo "deb, its whole life: ok"
  exit
fi

work=$2
# An overlay's own folders must lie outside what it covers.
mount -t tmpfs tmpfs "$work/upper"
mkdir "$work/upper/changes" "$work/upper/work" "$work/upper/root"
root=$work/upper/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper/changes,workdir=$work/upper/work" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
# No systemd here: nothing is started.
mount -t tmpfs tmpfs "$root/run"
cp "$work/old.deb" "$work/new.deb" "$root/root/"
in_root() {
  chroot "$root" env NINEWATCH_LANG=en DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
dpkg_quietly() {
  in_root dpkg "$@" >"$work/said" 2>&1 || fail "dpkg $*: $(cat "$work/said")"
}

[ ! -e "$root/etc/ninewatch" ] && [ ! -e "$root/var/lib/ninewatch" ] || fail "there is a Ninewatch on this system already"

# Installed.
dpkg_quietly --install /root/old.deb
owner=$(in_root stat --format '%U %a' /var/lib/ninewatch)
[ "$owner" = "ninewatch 700" ] || fail "the data folder is $owner"
[ "$(in_root stat --format '%U:%G %a' /etc/ninewatch/site.toml)" = "root:ninewatch 640" ] || fail "site.toml is open"
[ -L "$root/etc/systemd/system/multi-user.target.wants/ninewatch.service" ] || fail "it is not started at boot"
in_root ninewatch check | grep -q " 7 models" || fail "the installed gateway does not pass its own check"
in_root ninewatch place --data-dir /var/lib/ninewatch add home --name Home --kind home --grid g1 >/dev/null
in_root ninewatch device --data-dir /var/lib/ninewatch add sos-1 --type ninewatch-sos --place home >/dev/null
[ -z "$(in_root find /var/lib/ninewatch ! -user ninewatch)" ] || fail "what root wrote, the gateway cannot read"
# systemd and the manual take what was laid down. The shell completes.
in_root systemd-analyze verify ninewatch.service || fail "systemd does not take the unit"
exposure=$(in_root systemd-analyze security --offline=true --threshold=25 ninewatch.service | tail -n 1) ||
  fail "the unit is too open: $exposure"
echo "unit: $exposure"
if [ -x "$root/usr/bin/man" ]; then
  in_root man --warnings -l /usr/share/man/man1/ninewatch.1.gz >/dev/null || fail "the man page cannot be read"
fi
completed=$(in_root bash -c '. /usr/share/bash-completion/completions/ninewatch
  COMP_WORDS=(ninewatch dev); COMP_CWORD=1; _ninewatch ninewatch dev ninewatch; echo "${COMPREPLY[*]}"')
[ "$completed" = device ] || fail "bash completes \`dev\` to \`$completed\`"

# Upgraded: what a person wrote stays, and all data.
echo '# mine' >>"$root/etc/ninewatch/site.toml"
before=$(in_root sh -c 'cd /var/lib/ninewatch && find . -type f -exec sha256sum {} + | sort')
dpkg_quietly --force-confold --install /root/new.deb
grep -q '^# mine' "$root/etc/ninewatch/site.toml" || fail "an upgrade overwrote site.toml"
[ "$before" = "$(in_root sh -c 'cd /var/lib/ninewatch && find . -type f -exec sha256sum {} + | sort')" ] ||
  fail "an upgrade changed data"
# Who has switched it off finds it off after an upgrade.
in_root systemctl disable ninewatch.service >/dev/null 2>&1
dpkg_quietly --force-confold --install /root/old.deb
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/ninewatch.service" ] || fail "an upgrade switched it on again"

# Removed: the program goes, data and site file stay. Installed again, it goes on with them.
dpkg_quietly --remove ninewatch
[ ! -e "$root/usr/bin/ninewatch" ] || fail "the program is still there"
[ -s "$root/etc/ninewatch/site.toml" ] || fail "a removal took the site file"
[ "$before" = "$(in_root sh -c 'cd /var/lib/ninewatch && find . -type f -exec sha256sum {} + | sort')" ] ||
  fail "a removal took data"
dpkg_quietly --force-confold --install /root/new.deb
in_root ninewatch check | grep -q "1 devices" || fail "the device is not known any more"

# A gateway that ran as a dynamic user keeps its data.
mkdir -p "$root/var/lib/private"
mv "$root/var/lib/ninewatch" "$root/var/lib/private/ninewatch"
ln -s private/ninewatch "$root/var/lib/ninewatch"
dpkg_quietly --force-confold --install /root/old.deb
[ ! -L "$root/var/lib/ninewatch" ] || fail "the data is still where the dynamic user had it"
[ "$before" = "$(in_root sh -c 'cd /var/lib/ninewatch && find . -type f -exec sha256sum {} + | sort')" ] ||
  fail "data of a dynamic user got lost"

# Purged: nothing stays.
dpkg_quietly --purge ninewatch
left=$(find "$root/etc" "$root/usr" "$root/var/lib" -xdev -name '*ninewatch*' -not -path '*/work/*' | head)
[ -z "$left" ] || fail "a purge left $left"
