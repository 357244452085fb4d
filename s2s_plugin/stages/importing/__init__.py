"""``s2s import-opennmt`` and ``s2s import-joeynmt``: models of other toolkits as ours."""
