"""The website's own routes: signing in and out."""
