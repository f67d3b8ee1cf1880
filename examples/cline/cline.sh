#!/bin/sh
# Cline's CLI with a StackSpot agent:  sh examples/cline/cline.sh "Write hello.py and run it"
# In the editor the same four values stand under API Provider "OpenAI Compatible".
set -eu
cline auth --provider openai --baseurl http://127.0.0.1:4000/v1 --modelid stackspot-chat --apikey "$LITELLM_MASTER_KEY"
exec cline "$@"
