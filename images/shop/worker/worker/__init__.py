"""The worker: takes paid orders from the queue and ships them."""
