"""The README, the pages of ``docs/``, and the commands in them."""

import re
import shlex

from aura.core.paths import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
DOCS = "".join(path.read_text(encoding="utf-8") for path in sorted((PROJECT / "docs").glob("*.md")))
BASH = "\n".join(re.findall(r"```bash\n(.*?)```", README + DOCS, re.DOTALL)).replace("\\\n", " ")
# A command ends with its line, unless a quotation goes on.
COMMANDS = [shlex.split(text, comments=True) for text in re.findall(r"^(?:[^'\n]|'[^']*')+$", BASH, re.MULTILINE)]


def commands(*start: str) -> list[list[str]]:
    """The commands that start with these words, split into words."""
    return [words for words in COMMANDS if words[: len(start)] == list(start)]
