"""Who sells and who works: the seller's registry and its keys (orders.md, section 18)."""
