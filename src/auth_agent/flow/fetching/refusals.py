"""Why a fetch did not take place or gave no answer; the messages are for logs."""

from __future__ import annotations


class FetchRefused(Exception):
    """The address may not be fetched, or gave no proper answer."""


class NoPlace(FetchRefused):
    """Too many fetches, of all hosts or of this one; this says nothing about the address."""
