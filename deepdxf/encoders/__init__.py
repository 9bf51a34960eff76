"""Encoders with weights: codes of drawings in, embeddings out (torch)."""
