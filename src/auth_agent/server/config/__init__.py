"""The settings of a server: their fields, and the checks on them."""
