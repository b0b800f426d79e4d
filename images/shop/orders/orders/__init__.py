"""The orders service: products, checkout, orders and their history."""
