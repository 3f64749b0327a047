"""OAuth and OpenID Connect on the wire: each exchange builds a request and parses its answer."""
