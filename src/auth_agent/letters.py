"""Letters that nobody sees, which a model reads all the same."""

from __future__ import annotations

import re

# What fonts draw as nothing beyond the category Cf (Default_Ignorable_Code_Point in Unicode's
# DerivedCoreProperties), and the empty Braille pattern. Variation selectors can spell any text.
SILENT = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
# With these two a letter is drawn as a sign of text or as a picture; people write them.
STYLES = "\ufe0e\ufe0f"
