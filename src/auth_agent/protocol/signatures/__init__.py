"""HTTP message signatures (RFC 9421) and the profile Web Bot Auth: sign requests, verify them."""
