"""The laboratories of docs/limits.md: each shows a limit of sequence-to-sequence models and what helps."""
