"""Encoders: one file per modality, all returning a :class:`~s2s_plugin.models.memory.Memory`."""
