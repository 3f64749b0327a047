"""The administrators' web pages."""
