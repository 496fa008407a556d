"""Training: pixels into packs (data), packs into pairs (degrade), pairs into weights (loop)."""
