"""Log lines: JSON objects for machines, plain lines for people."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

# An audit record is also a log event, with these facts beside it.
FACTS = "facts"


class JsonFormatter(logging.Formatter):
    """Formats one object per line: time (UTC), level, logger, message, the event's facts, error."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FACTS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        # In ASCII: a claimed name may hold what a terminal obeys or what turns its line around.
        return json.dumps(line, default=str)


def log_config(log_format: str) -> dict[str, Any]:
    """Returns a configuration for `logging.config`: JSON logs every event, text only warnings."""
    is_json = log_format == "json"
    plain = {"format": "%(levelname)s %(name)s: %(message)s"}
    level = "INFO" if is_json else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonFormatter} if is_json else plain},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {
            "auth_agent": {"handlers": ["stderr"], "level": level, "propagate": False},
            "uvicorn": {"handlers": ["stderr"], "level": level, "propagate": False},
        },
    }
