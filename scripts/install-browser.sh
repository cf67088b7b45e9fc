#!/usr/bin/env bash
# Installs what the command line's tests need: Chromium (or Chrome), and `script` for a terminal. If both
# exist, as on most desktops, it does nothing. As root on Debian it installs them. Else it says what to do.
set -euo pipefail
cd "$(dirname "$0")/.."

# axe-core finds what a screen reader or a keyboard cannot use on a page. It is pinned, and npm runs no
# package's scripts.
if ! cmp -s tests/browser/package-lock.json .local/browser/package-lock.json; then
  rm -rf .local/browser && mkdir -p .local/browser
  cp tests/browser/package.json tests/browser/package-lock.json .local/browser/
  npm ci --prefix .local/browser --ignore-scripts --no-fund --no-audit --loglevel=error >/dev/null
fi

missing=()
command -v script >/dev/null || missing+=(bsdutils)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
if ((${#missing[@]} == 0)); then
  exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
  echo "the tests need ${missing[*]} (Debian's names of the packages): install them first" >&2
  exit 1
fi
echo "installing ${missing[*]} (about 20 s)"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
