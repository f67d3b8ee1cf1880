"""The StackSpot Agent API: tokens, uploads, requests and streams, as steps for `client`."""
