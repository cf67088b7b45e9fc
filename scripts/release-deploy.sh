#!/usr/bin/env bash
# Deploys a release without a build. Needs the AWS CLI and python3. Run it in the folder of the release:
#
#   ./deploy.sh POLICY.toml USER_POOL_ID BUCKET [Parameter=value ...]
#
# BUCKET is yours, in the pool's region. Parameters are those of template.release.yaml, for example
# PermitApiUrl=https://api.eu.permit.io, also STACK=name (permit-handoff) and Architecture=x86_64 (arm64).
set -euo pipefail
cd "$(dirname "$0")"
if (($# < 3)); then
    sed -n '2,8p' "$0" >&2
    exit 2
fi
policy=$1 pool=$2 bucket=$3
shift 3
stack=permit-handoff architecture=arm64 parameters=()
for parameter in "$@"; do
    case $parameter in
    STACK=*) stack=${parameter#*=} ;;
    *=*) parameters+=("$parameter") ;;
    *) echo "$parameter: give Parameter=value" >&2 && exit 2 ;;
    esac
    case $parameter in Architecture=*) architecture=${parameter#*=} ;; esac
done
[[ $pool =~ ^([a-z]{2}(-[a-z]+)+-[0-9]+)_[0-9A-Za-z]+$ ]] || { echo "$pool is not a pool's id: eu-west-1_AbCdEf123" >&2 && exit 2; }
region=${BASH_REMATCH[1]}
((${#stack} <= 44)) || { echo "$stack: a stack's name has 44 characters at most" >&2 && exit 2; }
[[ -f $policy ]] || { echo "there is no $policy: it says who gets which role" >&2 && exit 2; }

echo "== the zips are those of the release"
sha256sum --check --ignore-missing --strict --quiet SHA256SUMS
if command -v permit-handoff >/dev/null; then permit-handoff policy check "$policy"; fi

echo "== upload to $bucket"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
upload() { aws s3 cp --region "$region" --only-show-errors "$1" "s3://$bucket/$2"; }
for function in post-authentication handoff reconcile bulk-sync; do
    zip=$function-$architecture.zip
    upload "$zip" "permit-handoff/$(sha256sum "$zip" | cut -d' ' -f1).zip"
done
cp "$policy" "$work/policy.toml"
# A fixed time, so that the same policy gives the same zip.
touch -t 198001010000 "$work/policy.toml"
(cd "$work" && python3 -m zipfile -c policy.zip policy.toml)
layer=permit-handoff/policy-$(sha256sum "$work/policy.toml" | cut -d' ' -f1).zip
upload "$work/policy.zip" "$layer"

echo "== deploy $stack in $region"
aws cloudformation deploy --region "$region" --stack-name "$stack" --template-file template.release.yaml \
    --s3-bucket "$bucket" --s3-prefix permit-handoff --no-fail-on-empty-changeset \
    --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \
    --parameter-overrides "UserPoolId=$pool" "CodeBucket=$bucket" "PolicyZip=$layer" "${parameters[@]}"

echo "== next steps"
aws cloudformation describe-stacks --region "$region" --stack-name "$stack" --output json |
    python3 -c 'import json, sys
outputs = json.load(sys.stdin)["Stacks"][0]["Outputs"]
for output in sorted(outputs, key=lambda output: output.get("Description", "")):
    if output.get("Description", "")[:1].isdigit():
        print(output["Description"], output["OutputValue"], sep="\n", end="\n\n")'
