"""Computing on encrypted matrices."""
