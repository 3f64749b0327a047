"""What a browser sees of its sign-in: the page that waits, and the ways back to the website."""
