"""The website's side: who comes in, and as whom."""
