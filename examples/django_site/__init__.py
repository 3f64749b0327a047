"""A Django shop that lets agents in.

Run it with `gunicorn examples.django_site.wsgi:application` or
`uvicorn examples.django_site.asgi:application`;
docs/start/website.md says which AUTH_AGENT_* it needs.

`/account` shows one of the three ways to treat an agent:

    export SHOP_ACCOUNTS=contextual                     # or full, or fresh
    python -m examples.django_site.manage migrate
    python -m examples.django_site.manage seed ann owner@example.com
"""
