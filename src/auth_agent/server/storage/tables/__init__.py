"""The tables; times are whole seconds since 1970, lists of words are separated by spaces."""
