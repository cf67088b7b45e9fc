#!/usr/bin/env bash
# Installs the stand-ins for identity providers that the slow tests start (emulate for Okta and Clerk, the
# Auth emulator for Firebase) into .local/providers (ignored by git, 250 MB). All versions are pinned, npm
# runs no package's scripts, and a second run does nothing and needs no network.
set -euo pipefail

cd "$(dirname "$0")/.."
node=.local/providers
stamp=$node/stamp
pins=(stand-ins/npm-providers/package.json stand-ins/npm-providers/package-lock.json)

if [[ -f $stamp ]] && cmp -s $stamp <(cat "${pins[@]}"); then
  exit 0
fi
command -v npm >/dev/null || {
  echo "the stand-ins of providers need Node.js with npm; on Debian: apt-get install nodejs npm" >&2
  exit 1
}
rm -rf $node
mkdir -p $node
echo "installing emulate and firebase-tools into $node (about 30 s)"
cp "${pins[@]}" $node/
(cd $node && npm ci --ignore-scripts --no-fund --no-audit --loglevel=error >/dev/null)
cat "${pins[@]}" >$stamp
