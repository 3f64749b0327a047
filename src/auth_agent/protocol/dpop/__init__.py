"""Proofs that a key is in the sender's hands (RFC 9449), checked and made."""
