#!/bin/sh
# An n8n workflow with a StackSpot agent and a tool, imported and run on the command line:  sh examples/n8n/n8n.sh
# In the editor: a credential "OpenAI" with this base URL and LITELLM_MASTER_KEY, and the node "OpenAI Chat Model".
set -eu
credential=$(mktemp)
trap 'rm -f "$credential"' EXIT
cat > "$credential" <<END
[{"id": "StackSpotKey0000", "name": "StackSpot", "type": "openAiApi",
  "data": {"apiKey": "$LITELLM_MASTER_KEY", "url": "http://127.0.0.1:4000/v1"}}]
END
n8n import:credentials --input="$credential"
n8n import:workflow --input=examples/n8n/workflow.json
n8n execute --id=StackSpotAgent00
