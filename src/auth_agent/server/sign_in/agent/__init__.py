"""What an agent calls: it looks at a sign-in request, or opens one, and answers it."""
