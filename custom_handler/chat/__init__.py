"""One chat turn: prompt, agent's reply, repair, conversation."""
