#!/bin/sh
# Gemini CLI with a StackSpot agent:  sh examples/gemini_cli/gemini.sh -p "Write hello.py and run it"
# Copy settings.json, beside this file, to ~/.gemini/ first. Outside a trusted folder, the CLI runs no tools.
set -eu
export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:4000 GEMINI_API_KEY="$LITELLM_MASTER_KEY"
export GEMINI_CLI_TRUST_WORKSPACE=true
exec gemini --model stackspot-chat "$@"
