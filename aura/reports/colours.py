"""Colours of all figures and pages: those of Okabe and Ito, which people with any colour vision can tell apart.

https://jfly.uni-koeln.de/color/
"""

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#888888"
PURPLE, YELLOW = "#CC79A7", "#E69F00"


def css_variables() -> str:
    """Return a CSS rule with the colours that style sheets use, as in ``var(--orange)``."""
    return f":root {{ --blue: {BLUE}; --orange: {ORANGE}; }}\n"
