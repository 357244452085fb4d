"""The sections of the page, in order: functions from the run's data to a :class:`Section`."""

from __future__ import annotations

from collections.abc import Callable

from s2s_plugin.report.markup import Section
from s2s_plugin.report.run import RunData
from s2s_plugin.report.sections.attention import attention_section
from s2s_plugin.report.sections.commands import commands_section, config_section
from s2s_plugin.report.sections.curves import curves_section
from s2s_plugin.report.sections.examples import examples_section
from s2s_plugin.report.sections.lengths import length_section
from s2s_plugin.report.sections.scores import scores_section

SECTIONS: tuple[Callable[[RunData], Section], ...] = (
    scores_section,
    curves_section,
    length_section,
    examples_section,
    attention_section,
    commands_section,
    config_section,
)
