"""The targets of an MCP request, and whether the agent may use them; without any MCP package."""
