#!/bin/sh
# A Quick Command as a model, with curl; in the folder of a proxy with examples/quick_commands.yaml:  sh examples/curl/quick_commands.sh
set -eu
url="${PROXY_URL:-http://127.0.0.1:4000}"
key="${LITELLM_MASTER_KEY:-$(sed -n 's/^LITELLM_MASTER_KEY=//p' .env)}"
model="${MODEL:-explain}"

call() {
  path="$1"
  shift
  curl --silent --show-error --fail-with-body --no-buffer "$url$path" \
    -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "$@"
  echo
}

echo '# An answer'
call /v1/chat/completions -d "{\"model\": \"$model\", \"messages\": [{\"role\": \"user\", \"content\": \"print(1 + 1)\"}]}"

echo '# A stream: comments with the progress, then the result'
call /v1/chat/completions -d "{\"model\": \"$model\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"print(1 + 1)\"}]}"

echo '# A job, for which no client waits: GET /status/<job_id> has its results'
call /ingest -d "{\"model\": \"$model\", \"messages\": [\"print(1 + 1)\", \"print(2 + 2)\"]}"

echo '# The quota: that of Quick Commands is apart, in quick_commands'
call /quota
