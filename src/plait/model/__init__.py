"""What exists: frozen entities, ids and addresses, versioned JSON, the indexed snapshot. Pure."""
