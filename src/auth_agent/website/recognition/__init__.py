"""Who is it? Sessions, and bearer tokens, known again from one request to the next."""
