"""The demo's two websites: a shop, in a process of its own, and an MCP server with tools."""
