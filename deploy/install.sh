#!/bin/sh
# Installs a built Ninewatch on this machine, or under DESTDIR. `make install` calls it.
# What a person changed (the site file) stays as it is; so does all data.
set -eu
cd "$(dirname "$0")/.."

binary=${BINARY:-target/release/ninewatch}
runtime=${RUNTIME:-target/onnxruntime/libonnxruntime.so}
dest=${DESTDIR:-}

for needed in "$binary" "$runtime"; do
  if [ ! -f "$needed" ]; then
    echo "缺少 $needed，请先运行 make build / $needed is not there: run \`make build\` first" >&2
    exit 1
  fi
done

install -D -m 0755 "$binary" "$dest/usr/bin/ninewatch"
install -D -m 0644 "$runtime" "$dest/usr/lib/ninewatch/libonnxruntime.so"
install -D -m 0644 deploy/ninewatch.service "$dest/usr/lib/systemd/system/ninewatch.service"
if [ -f "$dest/etc/ninewatch/site.toml" ]; then
  echo "保留原有 site.toml / kept $dest/etc/ninewatch/site.toml"
else
  install -D -m 0644 deploy/site.toml "$dest/etc/ninewatch/site.toml"
fi

if [ -z "$dest" ] && command -v systemctl >/dev/null; then
  systemctl daemon-reload
  echo "已安装。启动：systemctl enable --now ninewatch，首个口令见 journalctl -u ninewatch"
  echo "Installed. Start: systemctl enable --now ninewatch; the first password is in journalctl -u ninewatch"
fi
