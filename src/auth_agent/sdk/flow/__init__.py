"""The effects of the SDK's flows, and the drivers that perform them."""
