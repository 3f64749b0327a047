"""The app that stores agents: `AgentProfile`, its admin pages, and the link to an owner's user.

INSTALLED_APPS += ["auth_agent_django.accounts"]; AUTH_AGENT = {"ACCOUNTS": "contextual", …}

- `"full"`: the agent acts in its owner's user, whose id is `agent.account_id`, None if none fits;
- `"contextual"`: it has a profile of its own, linked to its owner's user if one fits;
- `"fresh"`: it has a profile of its own, and needs no e-mail address.

In the last two `agent.account_id` is the id of the `AgentProfile`.
"""
