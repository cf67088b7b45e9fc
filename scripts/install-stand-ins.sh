#!/usr/bin/env bash
# Installs the stand-ins for AWS that the end-to-end tests and `make run` start, into .local/ (ignored by git):
# moto and cargo-lambda into a Python venv, cognito-local by npm. All versions are pinned, npm runs no package's
# scripts, and a second run does nothing and needs no network.
set -euo pipefail

cd "$(dirname "$0")/.."
venv=.local/venv
node=.local/npm
stamp=.local/stand-ins.stamp
pins=(stand-ins/requirements.txt stand-ins/npm/package.json stand-ins/npm/package-lock.json scripts/install-stand-ins.sh)

if [[ -f $stamp && -d $venv && -d $node ]] && cmp -s $stamp <(cat "${pins[@]}"); then
  exit 0
fi

need() {
  echo "the stand-ins need $1; $2" >&2
  exit 1
}
{ command -v node && command -v npm; } >/dev/null || need "Node.js with npm" "on Debian: apt-get install nodejs npm"
command -v python3 >/dev/null || need "Python 3.11 or later" "on Debian: apt-get install python3 python3-venv"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || need "Python 3.11 or later" "this is $(python3 --version)"
python3 -c 'import ensurepip, venv' 2>/dev/null || need "Python's venv" "on Debian: apt-get install python3-venv"

rm -rf $stamp $venv $node
mkdir -p $node
echo "installing moto and cargo-lambda into $venv (about 30 s)"
python3 -m venv $venv
$venv/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement stand-ins/requirements.txt
echo "installing cognito-local into $node (about 10 s)"
cp stand-ins/npm/package.json stand-ins/npm/package-lock.json $node/
npm ci --prefix $node --ignore-scripts --no-fund --no-audit --loglevel=error >/dev/null
cat "${pins[@]}" >$stamp
