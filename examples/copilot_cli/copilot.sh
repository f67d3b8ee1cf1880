#!/bin/sh
# GitHub Copilot's CLI with a StackSpot agent, without an account at GitHub:  sh examples/copilot_cli/copilot.sh
set -eu
export COPILOT_PROVIDER_BASE_URL=http://127.0.0.1:4000/v1
export COPILOT_PROVIDER_API_KEY="$LITELLM_MASTER_KEY"
export COPILOT_MODEL=stackspot-chat
export COPILOT_PROVIDER_MAX_PROMPT_TOKENS=200000 COPILOT_PROVIDER_MAX_OUTPUT_TOKENS=16000
export COPILOT_OFFLINE=true # nothing is asked of GitHub's servers
exec copilot "$@"
