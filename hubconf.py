"""``torch.hub.load("OWNER/REPOSITORY", "load", "mine.s2s")``: the Python API by torch.hub, see docs/api.md."""

from s2s_plugin import load

__all__ = ["load"]
dependencies = ["torch", "fairseq"]
