#!/usr/bin/env bash
# Trains all models anew: models/train.sh [DATA [ALSO]]. ALSO is a site's own evidence. Sets up its own Python under
# target/.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
also=${2:-}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
python=$(models/python.sh)
for model in fall routine overheat supply presence smoke night_entry; do
  "$python" "models/$model/train.py" --data "$data" ${also:+--also "$also"}
done
