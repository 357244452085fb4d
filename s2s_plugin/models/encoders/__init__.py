"""Encoders: one file a modality, all returning a :class:`~s2s_plugin.models.memory.Memory`."""
