#!/usr/bin/env bash
# Makes target/image/ninewatch-arm64.img (and .img.xz): Debian for Raspberry Pi 3, 4 and 5 with the arm64 package in it.
# `make image` calls it, as root, after `make deb ARCH=arm64`. No loop device; its tmpfs and /proc are in a namespace of its own.
# docs/image.md has the layout and why it is so.
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 022
export LC_ALL=C TZ=UTC

suite=trixie
mirror=${MIRROR:-http://deb.debian.org/debian}
packages=(systemd-sysv udev dbus kmod iproute2 nftables systemd-timesyncd systemd-resolved libnss-resolve
  linux-image-arm64 raspi-firmware initramfs-tools zstd e2fsprogs fdisk dosfstools openssh-server wpasupplicant
  wireless-regdb firmware-brcm80211 ca-certificates alsa-utils tzdata)
firmware_mib=512 root_mib=1536 data_mib=64
# Fixed, so that two builds are equal; deploy/image/root knows the partitions by the disk's id.
root_uuid=4e494e45-5741-4c45-8248-524f4f540001 data_uuid=4e494e45-5741-4c45-8248-444154410001
disk_id=4e57a001 firmware_id=4e57b001
work=target/image

stop() {
  echo "deploy/image/build.sh: $1" >&2
  exit 1
}

missing=()
for tool in mmdebstrap:mmdebstrap mkfs.ext4:e2fsprogs mkfs.vfat:dosfstools mcopy:mtools sfdisk:fdisk arch-test:arch-test \
  qemu-aarch64-static:qemu-user-static xz:xz-utils; do
  PATH=$PATH:/usr/sbin:/sbin command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
[ "${#missing[@]}" = 0 ] || stop "run as root: apt-get install --no-install-recommends ${missing[*]}"
[ "$(id -u)" = 0 ] || stop "run it as root (sudo make image): files in the image belong to many users"
arch-test arm64 >/dev/null 2>&1 ||
  stop "this kernel does not run arm64 programs: systemctl restart systemd-binfmt, or in a container mount binfmt_misc"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)
deb=$(realpath "target/deb/ninewatch_${version}_arm64.deb")
[ -f "$deb" ] || stop "$deb is not there: make deb ARCH=arm64"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1767225600)}
export SOURCE_DATE_EPOCH

# The base takes minutes, and changes only with this list or when somebody removes it.
mkdir -p "$work"
recipe=$(echo "$suite $mirror ${packages[*]}" | sha256sum | cut -c1-12)
base=$work/base-$recipe.tar
if [ ! -f "$base" ]; then
  echo "Debian $suite for arm64, some minutes..."
  mmdebstrap --quiet --arch=arm64 --variant=minbase --components=main,non-free-firmware \
    --include="$(IFS=,; echo "${packages[*]}")" "$suite" "$base.part" "$mirror"
  mv "$base.part" "$base"
fi

# Everything below happens on a tmpfs that goes with this process.
if [ "${1:-}" != inside ]; then
  exec unshare --mount --propagation private bash "$0" inside
fi
stage=$work/stage
mkdir -p "$stage"
mount -t tmpfs -o size=3g tmpfs "$stage"
root=$stage/root
mkdir "$root"
tar -x -f "$base" -C "$root" --numeric-owner --xattrs
mount -t proc proc "$root/proc"
chroot_quietly() {
  chroot "$root" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" >"$stage/said" 2>&1 ||
    stop "$* in the image: $(tail -n 20 "$stage/said")"
}

# What is ours.
cp -r --no-preserve=ownership,timestamps deploy/image/root/. "$root/"
chmod 0755 "$root/usr/lib/ninewatch/grow" "$root/usr/lib/ninewatch/setup" \
  "$root/etc/initramfs-tools/scripts/init-bottom/ninewatch"
cp "$deb" "$root/tmp/ninewatch.deb"
chroot_quietly dpkg --install /tmp/ninewatch.deb
rm "$root/tmp/ninewatch.deb"
echo ninewatch >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
printf 'Ninewatch %s  \\n  \\4\n\n' "$version" >"$root/etc/issue"
ln -sfn ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
ln -sfn /usr/share/zoneinfo/Asia/Shanghai "$root/etc/localtime"
printf 'ROOTPART=PARTUUID=%s-02\n' "$disk_id" >>"$root/etc/default/raspi-firmware"
# Later words win over the `rw` that it writes.
echo ro >"$root/etc/default/raspi-extra-cmdline"
chroot_quietly systemctl enable ninewatch-grow ninewatch-setup systemd-networkd systemd-resolved systemd-timesyncd ssh nftables
# With its device, not before the network: a machine without Wi-Fi would wait for it.
mkdir -p "$root/etc/systemd/system/sys-subsystem-net-devices-wlan0.device.wants"
ln -s /usr/lib/systemd/system/wpa_supplicant@.service \
  "$root/etc/systemd/system/sys-subsystem-net-devices-wlan0.device.wants/wpa_supplicant@wlan0.service"
# No key of this build is anybody's, and nothing comes by itself from elsewhere.
chroot_quietly systemctl disable wpa_supplicant systemd-networkd-wait-online
chroot_quietly systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  e2scrub_reap.service fstrim.timer sshd-keygen.service
rm -f "$root"/etc/ssh/ssh_host_*
mkdir -p "$root/data" "$root/boot/firmware" "$root/var/log/journal"
chroot_quietly update-initramfs -u
: >"$root/etc/machine-id"
ln -sfn /etc/machine-id "$root/var/lib/dbus/machine-id"

umount "$root/proc"

# What two builds would not have in common, or nobody needs.
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/var/log/apt "$root"/var/cache/ldconfig \
  "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old "$root"/run/* "$root"/tmp/* "$root"/var/tmp/*

# The three file systems.
mkdir -p "$stage/data/journal"
for pair in var/lib/ninewatch:gateway etc/ninewatch:site var/lib/systemd:systemd; do
  mv "$root/${pair%%:*}" "$stage/data/${pair##*:}"
  mkdir -p "$root/${pair%%:*}"
done
chown root:"$(awk -F: '$1 == "systemd-journal" { print $3 }' "$root/etc/group")" "$stage/data/journal"
chmod 2755 "$stage/data/journal"
mv "$root/boot/firmware" "$stage/firmware"
mkdir "$root/boot/firmware"
[ -n "$(ls "$stage/firmware"/initrd* 2>/dev/null)" ] || stop "there is no kernel in the firmware partition"
find "$root" "$stage/data" "$stage/firmware" -newermt "@$SOURCE_DATE_EPOCH" \
  -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

truncate -s "${firmware_mib}M" "$stage/firmware.img"
mkfs.vfat -F 32 -n NW-BOOT -i "$firmware_id" --invariant "$stage/firmware.img" >/dev/null
(cd "$stage/firmware" && find . -mindepth 1 -maxdepth 1 -print0 | sort -z |
  xargs -0 -I{} mcopy -i ../firmware.img -s -m -Q {} ::)
ext4() { # LABEL UUID MIB FOLDER
  # Its own clock and the order of its folders' hashes would else differ each time.
  E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mkfs.ext4 -q -F -L "$1" -U "$2" -d "$4" -m 1 \
    -E "hash_seed=$2,lazy_itable_init=0,nodiscard" "$stage/$1.img" "${3}M" 2>/dev/null
  # So would when each file was read, and when its inode was changed, which nobody can set in a folder.
  find "$4" -printf "sif \"/%P\" atime @$SOURCE_DATE_EPOCH\nsif \"/%P\" ctime @$SOURCE_DATE_EPOCH\n" |
    E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH debugfs -w -f - "$stage/$1.img" >/dev/null 2>"$stage/said" ||
    stop "debugfs: $(tail -n 5 "$stage/said")"
}
ext4 nw-root "$root_uuid" "$root_mib" "$root"
ext4 nw-data "$data_uuid" "$data_mib" "$stage/data"

# The disk. The Pi 3's own boot program knows only tables of this kind.
image=$work/ninewatch-arm64.img
rm -f "$image" "$image.xz"
truncate -s "$((4 + firmware_mib + root_mib + data_mib))M" "$image"
sfdisk --quiet "$image" <<TABLE
label: dos
label-id: 0x$disk_id
start=4MiB, size=${firmware_mib}MiB, type=c, bootable
start=$((4 + firmware_mib))MiB, size=${root_mib}MiB, type=83
start=$((4 + firmware_mib + root_mib))MiB, size=${data_mib}MiB, type=83
TABLE
put() { # FILE AT_MIB
  dd if="$stage/$1.img" of="$image" bs=1M seek="$2" conv=notrunc,sparse status=none
}
put firmware 4
put nw-root $((4 + firmware_mib))
put nw-data $((4 + firmware_mib + root_mib))
[ -n "${QUICK:-}" ] || xz --keep --force -T0 -3 "$image"
du -h --apparent-size "$image"* | sed "s/$/ ($(du -h "$image" | cut -f1) used)/"
sha256sum "$image"
