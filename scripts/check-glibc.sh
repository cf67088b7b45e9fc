#!/usr/bin/env bash
# Fails if a program needs a newer C library than VERSION: it would not start on older systems.
#
#   scripts/check-glibc.sh PROGRAM VERSION
set -euo pipefail
(($# == 2)) || { sed -n '2,4p' "$0" >&2 && exit 2; }
needed=$(python3 - "$1" <<'PYTHON'
import re, sys
found = set(re.findall(rb"\0GLIBC_(\d+\.\d+(?:\.\d+)?)(?=\0)", open(sys.argv[1], "rb").read()))
print(max((tuple(map(int, v.decode().split("."))), v.decode()) for v in found)[1] if found else "0")
PYTHON
)
newest=$(printf '%s\n' "$needed" "$2" | sort --version-sort | tail -n 1)
if [[ $newest != "$2" ]]; then
    echo "$1 needs GLIBC_$needed, and is to run with $2" >&2
    exit 1
fi
echo "$1: GLIBC_$needed at most"
