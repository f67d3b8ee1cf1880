"""The StackSpot Agent API: tokens, requests and the answer's frames; only `transport` touches the network."""
