"""Problems that keep agents from signing in to a website, each with cause and remedy.

`examine(settings)` is a flow like all others; `drive.run` performs it. `report.consult` is the
common part of the commands of the command line, Flask and Django.
"""

from auth_agent.doctor.examination import examine
from auth_agent.doctor.finding import Finding, is_well

__all__ = ["Finding", "examine", "is_well"]
