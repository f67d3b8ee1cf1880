#!/bin/sh
# Goose with a StackSpot agent:  sh examples/goose/goose.sh session
set -eu
export GOOSE_PROVIDER=openai OPENAI_HOST=http://127.0.0.1:4000 OPENAI_API_KEY="$LITELLM_MASTER_KEY"
export GOOSE_MODEL=stackspot-chat GOOSE_CONTEXT_LIMIT=200000
# A name for each session would cost a call of the agent.
export GOOSE_DISABLE_SESSION_NAMING=1
exec goose "$@"
