"""Environments whose actions are tool calls: a generated organisation, and any MCP servers over a folder."""
