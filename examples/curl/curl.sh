#!/bin/sh
# A StackSpot agent with nothing but curl; in the folder of a running `make run`:  sh examples/curl/curl.sh
set -eu
url="${PROXY_URL:-http://127.0.0.1:4000}"
key="${LITELLM_MASTER_KEY:-$(sed -n 's/^LITELLM_MASTER_KEY=//p' .env)}"

ask() {
  curl --silent --show-error --fail-with-body --no-buffer "$url/v1/chat/completions" \
    -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -H 'correlation-id: conversa-123' -d "$1"
  echo
}

echo '# The models'
curl --silent --show-error --fail-with-body "$url/v1/models" -H "Authorization: Bearer $key"
echo

echo '# An answer'
ask '{"model": "stackspot-chat", "messages": [{"role": "user", "content": "Quem é você?"}]}'

echo '# A stream'
ask '{"model": "stackspot-chat", "stream": true, "messages": [{"role": "user", "content": "Count to 5"}]}'

echo '# A tool call'
ask '{"model": "stackspot-chat", "messages": [{"role": "user", "content": "Qual o tempo em São Paulo?"}],
  "tools": [{"type": "function", "function": {"name": "buscar_tempo", "description": "Busca o tempo de uma cidade",
  "parameters": {"type": "object", "properties": {"cidade": {"type": "string"}}, "required": ["cidade"]}}}]}'
