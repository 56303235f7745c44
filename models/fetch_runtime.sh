#!/usr/bin/env bash
# Puts ONNX Runtime's library into target/onnxruntime, out of its Python wheel. Does nothing where it is already.
# For another machine: models/fetch_runtime.sh aarch64 FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.32.0
machine=${1:-$(uname -m)}
into=${2:-target/onnxruntime}

case $machine in
  x86_64) arch=x86_64 sha256=5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d ;;
  aarch64 | arm64) arch=aarch64 sha256=2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c ;;
  *)
    echo "There is no wheel for $machine: put a libonnxruntime.so into $into yourself, or run on rules alone." >&2
    exit 1
    ;;
esac

if [ -f "$into/libonnxruntime.so.$version" ]; then
  ln -sfn "libonnxruntime.so.$version" "$into"/libonnxruntime.so
  exit
fi
mkdir -p "$into"
work=$(mktemp -d "$into"/fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT
echo "onnxruntime==$version --hash=sha256:$sha256" > "$work/wanted"
# The library is the same in the wheels of all Python versions: which one runs here does not matter.
if ! python3 -m pip download --quiet --disable-pip-version-check --require-hashes --requirement "$work/wanted" \
  --no-deps --only-binary :all: --implementation cp --python-version 3.11 --abi cp311 \
  --platform "manylinux_2_28_$arch" --dest "$work" >&2; then
  echo "ONNX Runtime $version could not be fetched: it takes python3's pip (python3-pip) and the way to PyPI." >&2
  echo "Without it the gateway runs on rules, and says so. A copy in $into/libonnxruntime.so.$version does as well." >&2
  exit 1
fi
python3 - "$work" <<'PYTHON'
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
(wheel,) = work.glob("*.whl")
with zipfile.ZipFile(wheel) as names:
    for name in names.namelist():
        file = pathlib.PurePath(name).name
        if file.startswith("libonnxruntime.so.") or name in ("onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"):
            (work / file).write_bytes(names.read(name))
PYTHON
mv "$work/LICENSE" "$work/ThirdPartyNotices.txt" "$into"/
mv "$work/libonnxruntime.so.$version" "$into"/
ln -sfn "libonnxruntime.so.$version" "$into"/libonnxruntime.so
