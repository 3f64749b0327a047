"""`make bench`: everything measured side by side in one run, told as ratios."""

from __future__ import annotations

from benchmarks import (
    access_token,
    bound_token,
    frameworks,
    server_sign_in,
    signed_in_request,
    signed_message,
    tool_call,
)

if __name__ == "__main__":
    signed_in_request.main()
    frameworks.main()
    access_token.main()
    bound_token.main()
    signed_message.main()
    tool_call.main()
    server_sign_in.main()
