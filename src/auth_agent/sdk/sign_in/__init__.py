"""From a website's page to a session there."""
