"""Signals of sign-ins, refusals and sign-outs.

`agent_signed_in` and `agent_signed_out` carry `agent`, `agent_refused` carries `error`, the
`AuthError` that ended a sign-in. The sender is always the class `auth_agent.Agent`.
"""

from django.dispatch import Signal

agent_signed_in = Signal()
agent_refused = Signal()
agent_signed_out = Signal()
