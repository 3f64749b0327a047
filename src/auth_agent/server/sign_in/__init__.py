"""From a browser's request to an agent's approval."""
