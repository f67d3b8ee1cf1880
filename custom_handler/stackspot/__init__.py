"""The StackSpot Agent API: tokens, requests and the answer's frames; only `client` touches the network."""
