#!/bin/sh
# Installs a built Ninewatch on this machine, or under DESTDIR. `make install` calls it, and deploy/deb.sh.
# What a person changed (the site file) stays as it is; so does all data.
set -eu
cd "$(dirname "$0")/.."

binary=${BINARY:-target/release/ninewatch}
runtime=${RUNTIME:-target/onnxruntime/libonnxruntime.so}
dest=${DESTDIR:-}
# What runs a binary that is for another processor: `qemu-aarch64-static`.
runner=${RUNNER:-}

for needed in "$binary" "$runtime"; do
  if [ ! -f "$needed" ]; then
    echo "缺少 $needed，请先运行 make build / $needed is not there: run \`make build\` first" >&2
    exit 1
  fi
done

install -D -m 0755 "$binary" "$dest/usr/bin/ninewatch"
install -D -m 0644 "$runtime" "$dest/usr/lib/ninewatch/libonnxruntime.so"
install -D -m 0644 deploy/ninewatch.service "$dest/usr/lib/systemd/system/ninewatch.service"
for unit in ninewatch-backup.service ninewatch-backup.timer run-ninewatch-stick.mount; do
  install -D -m 0644 "deploy/$unit" "$dest/usr/lib/systemd/system/$unit"
done
install -D -m 0644 deploy/udev.rules "$dest/usr/lib/udev/rules.d/70-ninewatch.rules"
install -D -m 0644 deploy/sysusers.conf "$dest/usr/lib/sysusers.d/ninewatch.conf"
install -D -m 0644 deploy/tmpfiles.conf "$dest/usr/lib/tmpfiles.d/ninewatch.conf"
if [ -f "$dest/etc/ninewatch/site.toml" ]; then
  echo "保留原有 site.toml / kept $dest/etc/ninewatch/site.toml"
else
  install -D -m 0644 deploy/site.toml "$dest/etc/ninewatch/site.toml"
fi

# Man pages and what shells complete by: the program writes them itself.
manual=$(mktemp -d)
trap 'rm -rf "$manual"' EXIT
NINEWATCH_LANG=zh $runner "$binary" manual --to "$manual"
install -d "$dest/usr/share/man/man1"
for page in "$manual"/man1/*.1; do
  gzip -9nc "$page" >"$dest/usr/share/man/man1/${page##*/}.gz"
done
install -D -m 0644 "$manual/bash/ninewatch.bash" "$dest/usr/share/bash-completion/completions/ninewatch"
install -D -m 0644 "$manual/zsh/_ninewatch" "$dest/usr/share/zsh/vendor-completions/_ninewatch"
install -D -m 0644 "$manual/fish/ninewatch.fish" "$dest/usr/share/fish/vendor_completions.d/ninewatch.fish"

if [ -z "$dest" ] && command -v systemctl >/dev/null; then
  systemd-sysusers ninewatch.conf
  systemd-tmpfiles --create ninewatch.conf
  systemctl daemon-reload
  systemctl enable --now ninewatch-backup.timer
  udevadm control --reload || true
  echo "已安装。启动：systemctl enable --now ninewatch，首个口令见 journalctl -u ninewatch"
  echo "Installed. Start: systemctl enable --now ninewatch; the first password is in journalctl -u ninewatch"
fi
