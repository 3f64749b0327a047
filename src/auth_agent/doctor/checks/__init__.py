"""The checks of the doctor: each looks at one side, and returns its findings."""
