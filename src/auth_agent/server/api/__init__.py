"""The API for programs, beside the protocol."""
