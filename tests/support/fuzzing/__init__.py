"""Damages videos, restores them in processes of their own, and judges what became of each."""
