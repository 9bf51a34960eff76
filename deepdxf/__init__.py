"""DeepDXF: find, compare and clean up CAD drawings by the vectors in them."""
