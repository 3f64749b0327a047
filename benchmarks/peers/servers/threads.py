"""waitress as a peer is served with it."""

from __future__ import annotations

import logging
import sys
from typing import Any

from waitress import serve


def serve_in_threads(app: Any) -> None:
    """One process; the port is the first argument."""
    # Sixteen calls for four threads are no news, and telling each costs more than a little.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=4)
