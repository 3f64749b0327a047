"""What an MCP request asks for, and whether the agent may ask it; knows no MCP package."""
