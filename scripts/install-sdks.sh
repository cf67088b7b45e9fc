#!/usr/bin/env bash
# Installs Permit's own SDKs, which tests/slow/sdks.rs runs against the sandbox, into .local/sdks (ignored by git). All versions
# are pinned, npm runs no package's scripts, and a second run does nothing and needs no network.
set -euo pipefail

cd "$(dirname "$0")/.."
into=.local/sdks
pins=(stand-ins/sdks/python-2.txt stand-ins/sdks/python-3.txt stand-ins/sdks/package.json stand-ins/sdks/package-lock.json scripts/install-sdks.sh)

if [[ -f $into/stamp ]] && cmp -s $into/stamp <(cat "${pins[@]}"); then
  exit 0
fi

rm -rf $into
mkdir -p $into/node
echo "installing Permit's SDKs into $into (about 20 s)"
for version in 2 3; do
  python3 -m venv $into/python-$version
  $into/python-$version/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement stand-ins/sdks/python-$version.txt
done
cp stand-ins/sdks/package.json stand-ins/sdks/package-lock.json $into/node/
(cd $into/node && npm ci --ignore-scripts --no-fund --no-audit --loglevel=error >/dev/null)
cat "${pins[@]}" >$into/stamp
