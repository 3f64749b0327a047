"""The routes that the website answers by itself: signing in and out."""
