"""A look inside trained recommenders: what the vector just before scoring is made of."""
