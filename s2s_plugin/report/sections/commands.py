"""How the run was made: plain fairseq commands, and the configuration."""

from __future__ import annotations

import re

from markupsafe import Markup

from s2s_plugin.report.markup import Section, missing, render
from s2s_plugin.report.run import RunData


def commands_section(run: RunData) -> Section:
    """Show the plain fairseq commands that do the same as this run."""
    if not run.commands.strip():
        return Section("commands", "Commands", missing("commands.txt", "prepare", "the commands"))
    # "# stage" starts the commands of a stage
    parts = re.split(r"^#[ \t]*(\w+)[ \t]*$", run.commands, flags=re.MULTILINE)[1:]
    stages = {stage: text.strip() for stage, text in zip(parts[::2], parts[1::2], strict=True)}
    return Section("commands", "Commands", render("sections/commands.html.j2", stages=stages))


def config_section(run: RunData) -> Section:
    """Show the resolved configuration, collapsed."""
    if not run.config_text.strip():
        return Section("config", "Configuration", missing("config.yaml", "train", "the configuration"))
    body = Markup(
        "<details>\n<summary>The resolved configuration, <code>config.yaml</code></summary>\n"
        '<div class="code"><pre class="copy">{}</pre></div>\n</details>'
    ).format(run.config_text.strip())
    return Section("config", "Configuration", body)
