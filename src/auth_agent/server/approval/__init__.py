"""The owner is asked: when, how a question ends, and the websites that are known already."""
