"""The website's side: recognising and admitting agents."""
