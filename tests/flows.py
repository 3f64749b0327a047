"""Runs flows in tests, whose effects are performed by a function of the test."""

from __future__ import annotations

from auth_agent.flow.effects import Running


def run_with(perform, flow):
    """Returns the flow's value; `perform` returns an effect's result, or raises its error."""
    running = Running(flow)
    while (effect := running.advance()) is not None:
        try:
            running.result = perform(effect)
        except Exception as error:  # noqa: BLE001  # as `auth_agent.flow.drive` does
            running.error = error
    return running.value
