"""Objectives: pure functions of embeddings, one small file each (torch)."""
